"""Split rows into training, test and validation parts, and shuffle them by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["permutation", "split_rows", "split_text"]


def split_rows(
    rows: Sequence[Any],
    shares: Sequence[float] = (0.85, 0.10, 0.05),
    *,
    seed: int | None = 0,
    at_most: int = 0,
) -> list[list[Any]]:
    """Split rows into train, test and validation (or one part per share).

    Args:
        rows: The rows to split.
        shares: Fraction of the rows for each part; the last part gets the rest after rounding.
        seed: Seed of the shuffle before splitting; None keeps the order.
        at_most: Maximum rows of all parts together, in the same shares; 0 takes all. Each part is truncated after the
            split, so a row is never in two different parts, whatever the maximum.

    >>> [len(part) for part in split_rows(range(1100))]
    [935, 110, 55]
    >>> split_rows(range(10), (0.8, 0.2), seed=None, at_most=5)
    [[0, 1, 2, 3], [8]]
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise DataError(f"shares of a split must be positive and add up to 1, got {tuple(shares)}")
    order = np.arange(len(rows)) if seed is None else permutation(len(rows), seed, 0)
    parts = _cut(order.tolist(), shares)
    if 0 < at_most < len(rows):
        parts = [part[: len(wanted)] for part, wanted in zip(parts, _cut(range(at_most), shares), strict=True)]
    return [[rows[i] for i in part] for part in parts]


def split_text(text: str, shares: Sequence[float]) -> list[str]:
    r"""Split a text into consecutive parts of about these shares, at a line break, or at a blank if none is near.

    >>> split_text("a\nb\nc\nd\n", (0.5, 0.25, 0.25))
    ['a\nb\n', 'c\n', 'd\n']
    """
    ends, near = [0], max(len(text) // 100, 200)
    for i in range(len(shares) - 1):
        target = round(len(text) * sum(shares[: i + 1]))
        if not shares[i] or target == len(text):
            ends.append(len(text) if shares[i] else ends[-1])
            continue
        lowest = max(ends[-1], target - near)
        found = next((place for mark in "\n " if (place := text.rfind(mark, lowest, target)) >= 0), target - 1)
        ends.append(found + 1)
    return [text[start:end] for start, end in zip(ends, [*ends[1:], len(text)], strict=True)]


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return a shuffled range(n), seeded by the pair (seed, epoch), so that no two pairs share a sequence."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch)))).permutation(n)


def _cut(places: Sequence[int], shares: Sequence[float]) -> list[Sequence[int]]:
    """Cut the indices into consecutive parts of these shares."""
    ends = [*(round(len(places) * sum(shares[: i + 1])) for i in range(len(shares) - 1)), len(places)]
    return [places[start:end] for start, end in zip([0, *ends], ends, strict=False)]
