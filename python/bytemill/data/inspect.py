"""Inspect a folder of shards: decoded documents, and figures about them.

The core reads the shards and checks each block before it returns a token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bytemill import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bytemill.data.manifest import Manifest

__all__ = ["Document", "SplitStatistics", "documents", "split_statistics"]

_PIECE_TOKENS = 1 << 20


@dataclass(frozen=True)
class Document:
    """One document, or the beginning of a long one."""

    number: int
    """Number in the split, from 0."""
    first_token: int
    """Position of its first token in the split."""
    n_tokens: int
    """Number of tokens, end-of-text included."""
    ids: NDArray[np.uint32]
    """The first tokens."""


def documents(folder: str | Path, split: str, *, first: int = 0, most_tokens: int = 200) -> Iterator[Document]:
    """Yield the documents of a split from number `first`, each with at most `most_tokens` ids.

    Raises:
        FormatError: The shards are damaged.
    """
    reader = _core.SplitReader(str(folder), split)
    starts = reader.document_starts()
    ends = np.append(starts[1:], np.uint64(len(reader)))
    for number in range(first, len(starts)):
        start, length = int(starts[number]), int(ends[number] - starts[number])
        yield Document(number, start, length, reader.read(start, min(length, most_tokens)))


@dataclass(frozen=True)
class SplitStatistics:
    """Document lengths and token frequencies of one split."""

    n_tokens: int
    lengths: NDArray[np.int64]
    """Number of tokens of each document."""
    frequent: list[tuple[int, int]]
    """The most frequent ids with their counts, most frequent first."""
    n_used_ids: int
    """Number of different ids that occur."""


def split_statistics(manifest: Manifest, split: str, *, n_frequent: int = 20) -> SplitStatistics:
    """Read all tokens of a split once; memory use is 8 bytes per vocabulary id and per document.

    Raises:
        FormatError: The shards are damaged.
    """
    reader = _core.SplitReader(str(manifest.folder), split)
    counts = np.zeros(manifest.n_vocab, dtype=np.int64)
    for first in range(0, len(reader), _PIECE_TOKENS):
        ids = reader.read(first, min(_PIECE_TOKENS, len(reader) - first))
        counts += np.bincount(ids, minlength=manifest.n_vocab)
    bounds = np.append(reader.document_starts(), np.uint64(len(reader))).astype(np.int64)
    order = np.argsort(-counts, kind="stable")[:n_frequent]
    frequent = [(int(token), int(counts[token])) for token in order if counts[token]]
    return SplitStatistics(len(reader), np.diff(bounds), frequent, int(np.count_nonzero(counts)))
