"""Estimates what a training run takes from a few of its steps: parameters, memory, tokens and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.experiment.trial import Trial, run_trial

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = ["DryRun", "dry_run"]

_TRIAL_STEPS = 5


@dataclass(frozen=True)
class DryRun:
    """The estimates of a run."""

    n_parameters: int
    """Number of parameters of the model."""
    n_trainable: int
    """Number of trained parameters."""
    checkpoint_bytes: int
    """Size of one checkpoint: all weights, and two moments per trained weight."""
    tokens_per_step: int
    max_steps: int
    trial: Trial

    @property
    def total_tokens(self) -> int:
        """Number of tokens of the whole run."""
        return self.tokens_per_step * self.max_steps

    @property
    def seconds(self) -> float:
        """Seconds of all steps, without validation and samples."""
        return self.trial.seconds_per_step * self.max_steps


def dry_run(task: Task, config: RunConfig) -> DryRun:
    """Run the first steps of `fit(task, config, …)` without writing anything, and return the estimates."""
    trainable = task.trainable()
    all_bytes = sum(p.numel() * p.element_size() for p in task.model.parameters())
    trial = run_trial(task, config.train, n_steps=_TRIAL_STEPS)
    return DryRun(
        n_parameters=sum(p.numel() for p in task.model.parameters()),
        n_trainable=sum(p.numel() for p in trainable),
        checkpoint_bytes=all_bytes + 2 * sum(p.numel() * p.element_size() for p in trainable),
        tokens_per_step=trial.tokens_per_step,
        max_steps=config.train.max_steps,
        trial=trial,
    )
