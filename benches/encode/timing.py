"""CPU time, interleaved: one call of each a round, so that the machine's drift falls on all alike."""

import statistics
import time
from collections.abc import Callable

__all__ = ["Work", "cpu_seconds", "interleaved", "rate"]

Work = Callable[[], object]


def cpu_seconds(work: Work) -> float:
    """CPU time of one call, threads included; what it returns is freed after the clock has stopped."""
    began = time.process_time()
    result = work()
    took = time.process_time() - began
    del result
    return took


def interleaved(work: dict[str, Work], rounds: int) -> dict[str, float]:
    """The median CPU seconds of each over `rounds` calls; a call before them warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds + 1):
        for name, call in work.items():
            seconds[name].append(cpu_seconds(call))
    return {name: statistics.median(times[1:]) for name, times in seconds.items()}


def rate(encode: Callable[[str], object], text: str) -> float:
    """About how many bytes a CPU second `encode` does, from one warm call on the first 64 Ki characters."""
    start = text[: 1 << 16]
    encode(start)
    return len(start.encode()) / max(cpu_seconds(lambda: encode(start)), 1e-6)
