"""Measure CPU time in interleaved rounds: one call of each per round, so that drift affects all equally."""

import statistics
import time
from collections.abc import Callable

__all__ = ["Work", "cpu_seconds", "interleaved", "rate"]

Work = Callable[[], object]


def cpu_seconds(work: Work) -> float:
    """Return the CPU time of one call, including threads; its result is freed after the measurement."""
    began = time.process_time()
    result = work()
    took = time.process_time() - began
    del result
    return took


def interleaved(work: dict[str, Work], rounds: int) -> dict[str, float]:
    """Return the median CPU seconds of each over `rounds` calls, after one warm-up call."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, call in work.items():
            seconds[name].append(cpu_seconds(call))
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def rate(encode: Callable[[str], object], text: str) -> float:
    """Return the approximate bytes per CPU second of `encode`, from one warm call on the first 64 Ki characters."""
    start = text[: 1 << 16]
    encode(start)
    return len(start.encode()) / max(cpu_seconds(lambda: encode(start)), 1e-6)
