"""Finds under-trained tokens of a model from its embeddings alone.

The method is that of Land & Bartolo 2024, "Fishing for Magikarp". Rows of the output embedding that are never a target
are all pushed in the same direction during training, so they end up similar. The mean of rows that certainly were never
a target shows this direction, and the cosine of a row to it shows how likely the row is one of them. Certain rows are
tokens with a byte that UTF-8 never uses, and tokens that no text is encoded to. Rows that only pad the embedding are
not used, because they are not part of the loss of our models.
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
    """One token's similarity to tokens that were never trained."""

    id: int
    token: bytes
    cosine: float
    """Cosine to the mean of never-trained rows, after subtracting the mean of all rows."""
    norm: float
    """Norm of its row."""
    is_reference: bool
    """Whether the token was certainly never a target."""


def token_training(tokenizer: Tokenizer, embeddings: NDArray[np.float32]) -> list[TokenTraining]:
    """Return all tokens, the least trained ones first.

    Args:
        tokenizer: The model's tokenizer.
        embeddings: (at least n_vocab, width) rows of the output embedding, which is also the input embedding in GPT-2.

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
        raise DataError("every token of this vocabulary can occur in text, so none is untrained to compare others with")
    ids = np.array(list(tokens))
    rows = embeddings[ids].astype(np.float64)
    norms = np.linalg.norm(rows, axis=1)
    # All rows share the direction of their mean, which would hide the direction of untrained rows.
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
    """Return the least trained tokens as a further answer of an audit."""
    found = token_training(tokenizer, embeddings)
    certain = [one.cosine for one in found if one.is_reference]
    # Half of the certainly untrained tokens have at least this cosine; others above it are probably untrained too.
    threshold = float(np.median(certain))
    candidates = [one for one in found if not one.is_reference]
    suspects = sum(one.cosine >= threshold for one in candidates)
    rows = tuple(
        (one.id, spelled(one.token).replace(" ", "␣"), round(one.cosine, 4), round(one.norm, 4))
        for one in candidates[:N_SHOWN]
    )
    return Answer(
        "Which tokens are under-trained in this model?",
        f"{len(certain)} tokens cannot occur in text, so they were never a target in training. Half of them have a "
        f"cosine of {threshold:.2f} or more to their mean. {suspects:,} of the other {len(candidates):,} tokens have "
        "such a cosine too, so they are probably under-trained. Such a token in a prompt can cause strange output, as "
        "␣SolidGoldMagikarp did in GPT-2, because its embedding has no meaning.",
        "The least trained tokens that can occur in text",
        ("id", "token", "cosine to untrained tokens", "norm"),
        rows,
        token_columns=(1,),
    )
