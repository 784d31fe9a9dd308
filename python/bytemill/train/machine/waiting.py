"""How torch's threads wait for each other: spinning on a quiet processor, asleep on a busy one.

Between two parallel loops OpenMP's threads spin, which is fastest while each has a core of its own. Where others
run, a thread may spin on a core for which the thread that it waits for is queued: training fell to a thirtieth. libgomp
takes no other policy after it was loaded, but it spins only for a short time while a process has more threads in teams
than cores. So on a busy processor a second team is kept alive, asleep; without it the first one spins again. The
arithmetic is the same either way. Measured in docs/experiments/training.md.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import deque
from typing import ClassVar

import torch

from bytemill.system.processor import has_spinning_threads

__all__ = ["ThreadWaiting"]

_WINDOW_SECONDS = 0.5
_BUSY_SHARE = 0.8
"""Of the threads' time, what a process whose threads spin gets on a quiet processor; less means that others run."""
_FIRST_PROBE_SECONDS, _LONGEST_PROBE_SECONDS = 10.0, 160.0
_LAST_FEW = 9


class ThreadWaiting:
    """Watches how long steps take, and chooses how threads wait; for one process that trains on the CPU.

    Args:
        enabled: False never changes anything.
        n_parameters: Size of the model. A training begins with what the last one of this size in this process found;
            large models leave a core idle in some of their steps, which says nothing about small ones.
    """

    _found_busy: ClassVar[set[int]] = set()
    """Sizes of models whose last training found the processor busy."""

    def __init__(self, *, enabled: bool, n_parameters: int) -> None:
        self._n_parameters = n_parameters
        self._enabled = enabled and torch.get_num_threads() > 1 and has_spinning_threads()
        self._team: _SleepingTeam | None = None
        self._asleep_steps: deque[float] = deque(maxlen=_LAST_FEW)
        self._pause = _FIRST_PROBE_SECONDS
        self._probe_at = 0.0
        self._wall = self._cpu = 0.0
        self._is_first_step = True
        if self._enabled and n_parameters in self._found_busy:
            self._sleep()

    @property
    def is_patient(self) -> bool:
        """Whether threads sleep while they wait."""
        return self._team is not None

    def after_step(self, seconds: float, cpu_seconds: float) -> None:
        """Take in how long a step took, and how much CPU time of all threads; wait in another way if that is better.

        The first step is not judged: much of it is done by one thread, such as allocating memory.
        """
        is_first, self._is_first_step = self._is_first_step, False
        if not self._enabled or is_first:
            return
        if self._team is None:
            self._watch_spinning(seconds, cpu_seconds)
        else:
            self._asleep_steps.append(seconds)
            if time.monotonic() >= self._probe_at:
                self._spin()

    def close(self) -> None:
        """Release the second team."""
        self._spin()

    def _watch_spinning(self, seconds: float, cpu_seconds: float) -> None:
        if self._asleep_steps and seconds > statistics.median(self._asleep_steps):
            self._pause = min(2 * self._pause, _LONGEST_PROBE_SECONDS)  # a probe: the processor is still busy
            self._sleep()
            return
        self._asleep_steps.clear()
        self._wall, self._cpu = self._wall + seconds, self._cpu + cpu_seconds
        if self._wall < _WINDOW_SECONDS:
            return
        if self._cpu < _BUSY_SHARE * self._wall * torch.get_num_threads():
            self._sleep()
        else:
            self._found_busy.discard(self._n_parameters)
            self._pause = _FIRST_PROBE_SECONDS
        self._wall = self._cpu = 0.0

    def _sleep(self) -> None:
        self._found_busy.add(self._n_parameters)
        self._team = _SleepingTeam()
        self._probe_at = time.monotonic() + self._pause

    def _spin(self) -> None:
        if self._team is not None:
            self._team.release()
            self._team = None


class _SleepingTeam:
    """A thread that has its own team of OpenMP threads, as it has done a parallel loop, and sleeps."""

    def __init__(self) -> None:
        self._end, self._begun = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._sleep, name="bytemill-second-team", daemon=True)
        self._thread.start()
        self._begun.wait()

    def release(self) -> None:
        """End the thread, and with it its team."""
        self._end.set()
        self._thread.join()

    def _sleep(self) -> None:
        torch.ones(1 << 20).add_(1)  # large enough for torch to use several threads
        self._begun.set()
        self._end.wait()
