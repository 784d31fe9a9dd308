"""Estimates what a training run takes from its first micro-batches: parameters, memory, tokens and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.experiment.trial import Trial, run_trial

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = ["DryRun", "dry_run"]

_MOST_TRIALS = 5
_ENOUGH_SECONDS = 1.0


@dataclass(frozen=True)
class DryRun:
    """The estimates of a run."""

    n_parameters: int
    """Number of parameters of the model."""
    n_trainable: int
    """Number of trained parameters."""
    checkpoint_bytes: int
    """Size of one checkpoint: all weights, and two moments per trained weight."""
    micro_batches: int
    """Number of micro-batches per step."""
    max_steps: int
    trial: Trial
    """Steps of one micro-batch each."""

    @property
    def tokens_per_step(self) -> int:
        """Number of tokens of a whole step."""
        return self.trial.tokens_per_step * self.micro_batches

    @property
    def seconds_per_step(self) -> float:
        """Seconds of a whole step."""
        return self.trial.seconds_per_step * self.micro_batches

    @property
    def total_tokens(self) -> int:
        """Number of tokens of the whole run."""
        return self.tokens_per_step * self.max_steps

    @property
    def seconds(self) -> float:
        """Seconds of all steps, without validation and samples."""
        return self.seconds_per_step * self.max_steps


def dry_run(task: Task, config: RunConfig) -> DryRun:
    """Train on one micro-batch of `fit(task, config, …)` without writing anything, and return the estimates.

    If that takes less than a second, it is repeated, up to five times: the first micro-batch also fills caches.
    """
    trainable = task.trainable()
    all_bytes = sum(p.numel() * p.element_size() for p in task.model.parameters())
    trial = run_trial(
        task, config.train.model_copy(update={"micro_batches": 1}), n_steps=_MOST_TRIALS, enough_seconds=_ENOUGH_SECONDS
    )
    return DryRun(
        n_parameters=sum(p.numel() for p in task.model.parameters()),
        n_trainable=sum(p.numel() for p in trainable),
        checkpoint_bytes=all_bytes + 2 * sum(p.numel() * p.element_size() for p in trainable),
        micro_batches=config.train.micro_batches,
        max_steps=config.train.max_steps,
        trial=trial,
    )
