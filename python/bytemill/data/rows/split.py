"""Rows parted into training, test and validation, and put in order, by a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["permutation", "split_rows"]


def split_rows(
    rows: Sequence[Any], shares: Sequence[float] = (0.85, 0.10, 0.05), *, seed: int | None = 0
) -> list[list[Any]]:
    """Rows parted into train, test and validation (or as many parts as there are shares).

    Args:
        rows: What to part.
        shares: Of each part; the last takes what rounding leaves.
        seed: Of the shuffle before; None keeps the order.

    >>> [len(part) for part in split_rows(range(1100))]
    [935, 110, 55]
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise DataError(f"shares of a split must be positive and add up to 1, got {tuple(shares)}")
    order = np.arange(len(rows)) if seed is None else permutation(len(rows), seed, 0)
    ends = [round(len(rows) * sum(shares[: i + 1])) for i in range(len(shares))]
    ends[-1] = len(rows)
    return [[rows[i] for i in order[start:end]] for start, end in zip([0, *ends], ends, strict=False)]


def permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """An order of range(n); of (seed, epoch) as a pair, so that no two pairs share a sequence."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch)))).permutation(n)
