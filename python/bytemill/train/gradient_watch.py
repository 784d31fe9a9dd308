"""Warns when the gradient norm has grown by orders of magnitude, before training diverges."""

from __future__ import annotations

import math
import statistics
from collections import deque

__all__ = ["GradientWatch"]

_RECENT_STEPS = 5
_MOST_STEPS = 1000
_FEWEST_STEPS = 15
_ALARMING = 100.0
_AGAIN = 10.0


class GradientWatch:
    """Compares the latest gradient norms with earlier ones.

    A single batch may have a norm a hundred times larger than others, so the median of the last five steps is compared
    with the median of up to 1,000 steps before. Norms below 1 never warn: overfitting causes them.

    >>> watch = GradientWatch()
    >>> ratios = [watch.growth(norm) for norm in [1.0] * 20 + [500.0] * 5]
    >>> [ratio for ratio in ratios if ratio is not None]
    [500.0]
    """

    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=_MOST_STEPS)
        self._recent: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._alarming = _ALARMING

    def growth(self, norm: float) -> float | None:
        """Add the norm of one more step; return the growth factor if it is worth a warning, else None.

        The next warning comes only after ten times as much growth.
        """
        if not math.isfinite(norm):
            return None
        if len(self._recent) == _RECENT_STEPS:
            self._past.append(self._recent[0])
        self._recent.append(norm)
        if len(self._past) < _FEWEST_STEPS:
            return None
        now, before = statistics.median(self._recent), statistics.median(self._past)
        if now <= 1 or now < self._alarming * before:
            return None
        ratio = now / before if before else math.inf
        self._alarming = max(ratio, self._alarming) * _AGAIN
        return ratio
