"""Questions about the whole vocabulary: the effect of its size, and entries that no text produces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill import _core
from bytemill.errors import ArgumentError
from bytemill.tokenizer.audit.answer import Answer, Cell, Growth
from bytemill.tokenizer.audit.entries import every_token, reachability
from bytemill.tokenizer.pieces import spelled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["size_and_length", "unreachable"]

WIDTH = 768
N_EXAMPLES = 8
N_BYTES = 256


def size_and_length(tokenizer: Tokenizer, text: str, measured: str) -> Answer:
    """Count the tokens of a text with the vocabulary truncated to sizes that double; `measured` names the text."""
    n_bytes = len(text.encode(errors="replace"))
    points = [(size, n_tokens) for size, n_tokens in _growth(tokenizer, text) if n_tokens]
    rows = tuple((size, n_tokens, round(n_bytes / n_tokens, 3), size * WIDTH) for size, n_tokens in points)
    halves = f"{rows[0][2]:.2f} bytes per token with {rows[0][0]:,} ids, " if len(rows) > 1 else ""
    return Answer(
        "What is the effect of a larger vocabulary?",
        f"A text of {n_bytes:,} bytes has {halves}{rows[-1][2]:.2f} bytes per token with all {rows[-1][0]:,} ids. "
        "Longer tokens mean fewer ids, so less work, and more text in the same context. But with each doubling "
        f"the model's table of tokens doubles too: at GPT-2's width of {WIDTH} it takes "
        f"{rows[-1][3] / 1e6:,.1f} million weights.",
        f"{measured}, with the vocabulary cut off at each size; weights of a table of width {WIDTH}",
        ("ids", "tokens", "bytes per token", "weights of the table"),
        rows,
        growth=Growth("bytes per token", "ids in the vocabulary", tuple((row[0], row[2]) for row in rows)),
    )


def unreachable(tokenizer: Tokenizer) -> Answer:
    """Count the entries that a text can produce, and those that none can."""
    tokens, found = every_token(tokenizer), reachability(tokenizer)
    kinds = (
        ("some text becomes them", found.reachable),
        ("parts of characters", found.partial),
        ("bytes that UTF-8 never holds", found.impossible),
        ("no text becomes them", found.unreachable),
    )
    rows: list[tuple[Cell, ...]] = [
        (name, len(ids), round(100 * len(ids) / len(tokens), 2), _examples([tokens[one] for one in ids]))
        for name, ids in kinds
    ]
    rows.append(("special tokens", len(tokenizer.special_tokens), "–", " ".join(tokenizer.special_tokens)))
    return Answer(
        "Which tokens can no text produce?",
        f"Of {len(tokens):,} tokens, {len(found.reachable):,} are produced by their own text, "
        f"{len(found.partial):,} are parts of characters, and {len(found.unreachable):,} are never produced. A token "
        "like ␣SolidGoldMagikarp of GPT-2 can be produced and is still a trap: the tokenizer's training text contained "
        "it, but the model's did not, so its weights stayed random. Such tokens are visible only in a model; give one "
        "to search for them.",
        "The vocabulary by what can become of its entries",
        ("kind", "tokens", "per cent", "examples"),
        tuple(rows),
        token_columns=(3,),
    )


def _growth(tokenizer: Tokenizer, text: str) -> Iterator[tuple[int, int]]:
    """Return sizes that double, and finally the whole size, with the number of tokens of the text."""
    try:
        ranks = tokenizer.ranks()
    except ArgumentError:
        ranks = []  # ids in another order: this vocabulary contains no smaller ones
    size = N_BYTES
    while ranks and size < len(ranks):
        smaller = [(token, rank) for token, rank in ranks if rank < size]
        if len(smaller) == size:
            yield size, _count(_core.tokenizer_from_ranks(smaller, tokenizer.pattern, []), text)
        size *= 2
    yield tokenizer.n_vocab, _count(tokenizer, text)


def _count(tokenizer: _core.Tokenizer, text: str) -> int:
    return tokenizer.count(text)


def _examples(tokens: Sequence[bytes]) -> str:
    """Return some examples, evenly spread."""
    step = max(1, len(tokens) // N_EXAMPLES)
    return " ".join(spelled(token).replace(" ", "␣") for token in tokens[::step][:N_EXAMPLES])
