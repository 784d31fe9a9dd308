"""Reads the results of a sweep's runs from their folders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bytemill.experiment.sweep.run import Ended, ended_run
from bytemill.json_reader import read_object
from bytemill.train.config import setting_of
from bytemill.train.run.metrics import read_json_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bytemill.experiment.sweep.plan import PlannedRun

__all__ = ["SweepResult", "sweep_results"]

_LAST_STEPS = 0.1
"""Fraction of the training losses, from the end, whose mean is the final loss, because losses of batches are noisy."""


@dataclass(frozen=True)
class SweepResult:
    """The result of one run of a sweep, which may be done, failed, unfinished or not begun."""

    name: str
    varied: Mapping[str, Any]
    """Every setting that the sweep varies, with this run's value."""
    ended: Ended | None
    n_trainable: int | None
    metrics: Sequence[Mapping[str, Any]]
    """Rows of metrics.jsonl."""
    samples: Sequence[Mapping[str, Any]]
    """The last samples."""

    @property
    def state(self) -> str:
        """State of the run: done, failed, unfinished or not begun."""
        if self.ended is None:
            return "unfinished" if self.metrics else "not begun"
        return "done" if self.ended.exit_code == 0 else f"failed: {self.ended.error}"

    @property
    def train_loss(self) -> float:
        """Mean of the last tenth of the training losses; NaN without any."""
        losses = self._series("loss")
        last = losses[-max(1, round(len(losses) * _LAST_STEPS)) :]
        return sum(last) / len(last) if last else math.nan

    @property
    def validation_loss(self) -> float:
        """Loss of the last validation; NaN without any."""
        return next(reversed(self._series("val_loss")), math.nan)

    @property
    def best_validation_loss(self) -> float:
        """Lowest validation loss; NaN without any."""
        return min(self._series("val_loss"), default=math.nan)

    @property
    def validation_accuracy(self) -> float:
        """Accuracy at the last validation; NaN if the task measures none."""
        return next(reversed(self._series("val_accuracy")), math.nan)

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return max((int(row["step"]) for row in self.metrics), default=0)

    @property
    def memory_mib(self) -> float:
        """Peak memory of the run's process; NaN if none was logged."""
        return max(self._series("memory_mib"), default=math.nan)

    def _series(self, name: str) -> list[float]:
        return [row[name] for row in self.metrics if isinstance(row.get(name), int | float)]


def sweep_results(planned: Sequence[PlannedRun], folder: Path) -> list[SweepResult]:
    """Return the results of all planned runs, in their order."""
    varied = list(dict.fromkeys(name for run in planned for name in run.varied))
    return [_result(run, folder / run.name, varied) for run in planned]


def _result(run: PlannedRun, run_dir: Path, varied: Sequence[str]) -> SweepResult:
    samples = _lines(run_dir / "samples.jsonl")
    last = max((line["step"] for line in samples), default=0)
    return SweepResult(
        name=run.name,
        varied={name: run.varied.get(name, setting_of(run.config, name)) for name in varied},
        ended=ended_run(run_dir),
        n_trainable=_n_trainable(run_dir),
        metrics=_lines(run_dir / "metrics.jsonl"),
        samples=[line for line in samples if line["step"] == last],
    )


def _n_trainable(run_dir: Path) -> int | None:
    path = run_dir / "environment.json"
    if not path.exists():
        return None
    parameters = read_object(path).get("parameters")
    trainable = parameters.get("trainable") if isinstance(parameters, dict) else None
    return trainable if isinstance(trainable, int) else None


def _lines(path: Path) -> list[dict[str, Any]]:
    return read_json_lines(path) if path.exists() else []
