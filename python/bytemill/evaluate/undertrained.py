"""Which tokens a model has hardly been trained on, seen from its embeddings alone.

After Land & Bartolo 2024, "Fishing for Magikarp": rows of the output embedding that no target ever asked for are all
pushed the same way, so they end up close to each other. The mean of rows that certainly were never asked for shows
that way, and the cosine to it how likely a row is one more of them. Certain are the tokens that hold a byte which UTF-8
never holds, and those that no text becomes. Rows that only pad the table tell nothing here: they take no part in the
loss of our models, so nothing pushes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bytemill.errors import DataError
from bytemill.tokenizer.audit.answer import Answer
from bytemill.tokenizer.audit.entries import every_token, reachability
from bytemill.tokenizer.pieces import spelled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bytemill.tokenizer import Tokenizer

__all__ = ["TokenTraining", "token_training", "undertrained_answer"]

N_SHOWN = 25


@dataclass(frozen=True)
class TokenTraining:
    """One token's likeness to tokens that were never trained."""

    id: int
    token: bytes
    cosine: float
    """To the mean of never-trained rows, all rows' mean taken off first; 1 is alike."""
    norm: float
    """Length of its row."""
    is_reference: bool
    """Whether it is one of the rows that were certainly never asked for."""


def token_training(tokenizer: Tokenizer, embeddings: NDArray[np.float32]) -> list[TokenTraining]:
    """Every token, those that look least trained first.

    Args:
        tokenizer: Of the model.
        embeddings: (at least n_vocab, width) rows of the output embedding; tied to the input's in GPT-2.

    Raises:
        DataError: There are fewer rows than ids, or no token is certainly untrained.
    """
    if embeddings.ndim != 2 or len(embeddings) < tokenizer.n_vocab:
        raise DataError(
            f"embeddings of shape {embeddings.shape} for {tokenizer.n_vocab:,} ids, expected one row per id"
        )
    tokens, reached = every_token(tokenizer), reachability(tokenizer)
    unused = {*reached.impossible, *reached.unreachable}
    if not unused:
        raise DataError("every token of this vocabulary can occur in text, so none shows how an untrained one looks")
    ids = np.array(list(tokens))
    rows = embeddings[ids].astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    # The mean of all rows is a direction that all of them share; it would hide the one looked for.
    rows -= rows.mean(axis=0)
    reference = rows[np.isin(ids, list(unused))].mean(axis=0)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(reference)
    cosines = rows @ reference / np.maximum(lengths, np.finfo(np.float64).tiny)
    order = np.argsort(-cosines, kind="stable")
    return [
        TokenTraining(int(ids[i]), tokens[int(ids[i])], float(cosines[i]), float(norms[i]), int(ids[i]) in unused)
        for i in order
    ]


def undertrained_answer(tokenizer: Tokenizer, embeddings: NDArray[np.float32]) -> Answer:
    """The tokens that look least trained, as one more answer of an audit."""
    found = token_training(tokenizer, embeddings)
    certain = [one.cosine for one in found if one.is_reference]
    # Half of the certain ones look less trained than this: what others look so too, nobody has trained.
    bar = float(np.median(certain))
    candidates = [one for one in found if not one.is_reference]
    suspects = sum(one.cosine >= bar for one in candidates)
    rows = tuple(
        (one.id, spelled(one.token).replace(" ", "␣"), round(one.cosine, 4), round(one.norm, 4))
        for one in candidates[:N_SHOWN]
    )
    return Answer(
        "Which tokens has this model hardly seen?",
        f"{len(certain)} tokens cannot occur in text, so this model was never asked for them, and half of them have a "
        f"cosine of {bar:.2f} or more to their common mean. {suspects:,} of the other {len(candidates):,} tokens do "
        "too: they look as if they had not been trained either. Such a token in a prompt makes a model say strange "
        "things, as ␣SolidGoldMagikarp did in GPT-2, since its row holds no meaning.",
        "The tokens that look least trained, though text could become them",
        ("id", "token", "cosine to the untrained", "norm"),
        rows,
        token_columns=(1,),
    )
