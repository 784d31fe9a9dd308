"""The time limit of a run, `train.max_seconds`, which includes validation and saving.

The time counts from the call of `fit`, on a monotonic clock. The durations of steps, validations and checkpoints are
measured; the next one is expected to take as long as the slowest of the last few.
"""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Clock"]

_LAST_FEW = 5
_BYTES_PER_SECOND = 100e6
"""Assumed speed of writing a checkpoint until one has been timed."""


class Clock:
    """Decides whether the remaining time is enough for the next piece of work.

    >>> clock = Clock(max_seconds=0.5, checkpoint_bytes=0)
    >>> with clock.timing("step"):
    ...     time.sleep(0.3)
    >>> clock.has_time_for("step"), Clock(0, 0).has_time_for("step")
    (False, True)

    Args:
        max_seconds: Seconds from now; 0 for no limit.
        checkpoint_bytes: Bytes of a checkpoint.
    """

    def __init__(self, max_seconds: float, checkpoint_bytes: int) -> None:
        self._end = time.monotonic() + max_seconds if max_seconds else math.inf
        self._seconds: dict[str, deque[float]] = {"save": deque([checkpoint_bytes / _BYTES_PER_SECOND], _LAST_FEW)}

    @contextmanager
    def timing(self, *work: str) -> Iterator[None]:
        """Measure how long each named kind of work takes: "step", "measure" or "save"."""
        began = time.monotonic()
        yield
        for what in work:
            self._seconds.setdefault(what, deque(maxlen=_LAST_FEW)).append(time.monotonic() - began)

    def has_time_for(self, *work: str) -> bool:
        """Return whether all of `work`, and saving after it, is expected to end before the limit."""
        needed = sum(max(self._seconds.get(what, [0.0])) for what in (*work, "save"))
        return time.monotonic() + needed <= self._end
