"""What a training run would take, from a few of its steps: parameters, memory, tokens, time."""

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
    """The foreseeable figures of a run."""

    n_parameters: int
    """Numbers in the model."""
    n_trainable: int
    """Of those, how many train."""
    checkpoint_bytes: int
    """Size of one checkpoint: all weights, and two moments for each that trains."""
    tokens_per_step: int
    max_steps: int
    trial: Trial

    @property
    def total_tokens(self) -> int:
        """Tokens of the whole run."""
        return self.tokens_per_step * self.max_steps

    @property
    def seconds(self) -> float:
        """Time of all steps, without validation and samples."""
        return self.trial.seconds_per_step * self.max_steps


def dry_run(task: Task, config: RunConfig) -> DryRun:
    """Try a few steps of the very run that `fit(task, config, …)` would be; nothing is written."""
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
