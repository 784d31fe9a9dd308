"""Runs and times a few steps of a task, without writing anything."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bytemill.train.learner import Learner
from bytemill.train.machine.distributed import World
from bytemill.train.machine.hardware import peak_memory_mib

if TYPE_CHECKING:
    from bytemill.train.config import TrainConfig
    from bytemill.train.task import Task

__all__ = ["Trial", "run_trial"]


@dataclass(frozen=True)
class Trial:
    """Times, losses and memory of some steps."""

    milliseconds: list[float]
    """Duration of each step."""
    losses: list[float]
    """Loss of each step, in nats per token."""
    tokens_per_step: int
    memory_mib: float
    """Peak memory; see `bytemill.train.machine.hardware.peak_memory_mib`."""

    @property
    def seconds_per_step(self) -> float:
        """Median of the second half; the first steps also compile and fill allocators and caches."""
        return statistics.median(self.milliseconds[len(self.milliseconds) // 2 :]) / 1e3

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second at this speed."""
        return self.tokens_per_step / self.seconds_per_step


@dataclass
class _NoLog:
    """Takes the place of a run's log and prints nothing."""

    tokens_seen: int = 0
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)


def run_trial(task: Task, settings: TrainConfig, *, n_steps: int, enough_seconds: float = math.inf) -> Trial:
    """Do the first steps of `task` in this process only. This trains the model, so pass a copy.

    Args:
        task: The task; its batches are read from their position.
        settings: Settings of the train section.
        n_steps: Number of steps, at least 1.
        enough_seconds: No further step begins after this time.

    Raises:
        DivergedError: A loss is NaN or infinite.
        ConfigError: A setting does not work on this machine.
    """
    learner = Learner(task, settings, World())
    log, batches = _NoLog(), iter(task.batches)
    with contextlib.closing(learner):
        began, records = time.monotonic(), list[dict[str, Any]]()
        while len(records) < n_steps and (not records or time.monotonic() - began < enough_seconds):
            records.append(learner.step(len(records), batches, log)[0])
    return Trial(
        milliseconds=[record["ms"] for record in records],
        losses=[record["loss"] for record in records if "loss" in record],
        tokens_per_step=log.tokens_seen // len(records),
        memory_mib=peak_memory_mib(learner.device),
    )
