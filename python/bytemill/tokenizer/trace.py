"""Show how a text becomes tokens, step by step: split into pretokens, then merge adjacent tokens by rank.

This is encoding by definition, one merge at a time, for people to read. The core computes the same ids faster, and a
test compares the two.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError
from bytemill.tokenizer.pieces import Piece, pieces_of_ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["MOST_BYTES", "MergeStep", "PretokenTrace", "trace"]

MOST_BYTES = 1_000


@dataclass(frozen=True)
class MergeStep:
    """Two adjacent tokens that became one."""

    rank: int
    """The merge's rank in the vocabulary, from 0; the pair with the lowest rank is merged first."""
    left: bytes
    right: bytes
    pieces: tuple[bytes, ...]
    """The whole pretoken after the merge."""


@dataclass(frozen=True)
class PretokenTrace:
    """The merges of one pretoken, from its bytes to its tokens."""

    pretoken: bytes
    steps: tuple[MergeStep, ...]
    tokens: tuple[Piece, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object, with bytes in hexadecimal."""
        steps = [
            {"rank": step.rank, "merge": [step.left.hex(), step.right.hex()], "pieces": [p.hex() for p in step.pieces]}
            for step in self.steps
        ]
        return {"pretoken": self.pretoken.hex(), "steps": steps, "tokens": [token.as_dict() for token in self.tokens]}


def trace(tokenizer: Tokenizer, text: str, *, special: bool = False) -> tuple[PretokenTrace, ...]:
    """Return every pretoken of `text` with its merges; `special` leaves special tokens out, which never merge.

    Raises:
        ArgumentError: A pretoken is longer than `MOST_BYTES`. A trace shows the whole pretoken after each merge, so its
            size grows with the square of the length.

    >>> from bytemill import Tokenizer
    >>> (low,) = trace(Tokenizer.train(texts=["low low"], vocab_size=259), "low")
    >>> [step.pieces for step in low.steps], low.tokens[0].id
    ([(b'lo', b'w'), (b'low',)], 257)
    """
    rank_of = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
    traces = []
    for pretoken in _pretokens(tokenizer, text, special):
        if len(pretoken) > MOST_BYTES:
            raise ArgumentError(
                f"a pretoken has {len(pretoken):,} bytes, but a trace can follow at most {MOST_BYTES:,}; give less text"
            )
        steps = tuple(_steps(rank_of, pretoken))
        parts = steps[-1].pieces if steps else _bytes(pretoken)
        ids = [tokenizer.encode_single_token(part) for part in parts]
        traces.append(PretokenTrace(pretoken, steps, pieces_of_ids(tokenizer, ids)))
    return tuple(traces)


def _pretokens(tokenizer: Tokenizer, text: str, special: bool) -> Iterator[bytes]:
    names = sorted(tokenizer.special_tokens, key=len, reverse=True) if special else []
    stretches = re.split("|".join(map(re.escape, names)), text) if names else [text]
    for stretch in stretches:
        yield from tokenizer.pretokens(stretch)


def _steps(rank_of: Mapping[tuple[bytes, bytes], int], pretoken: bytes) -> Iterator[MergeStep]:
    parts: Sequence[bytes] = _bytes(pretoken)
    while True:
        neighbours = itertools.pairwise(parts)
        known = [(rank_of[pair], place) for place, pair in enumerate(neighbours) if pair in rank_of]
        if not known:
            return
        rank, place = min(known)
        left, right = parts[place : place + 2]
        parts = (*parts[:place], left + right, *parts[place + 2 :])
        yield MergeStep(rank, left, right, parts)


def _bytes(pretoken: bytes) -> tuple[bytes, ...]:
    return tuple(bytes([byte]) for byte in pretoken)
