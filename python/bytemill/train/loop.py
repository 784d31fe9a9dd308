"""The one training loop: every task of this project is trained by `fit`.

Around each step (see bytemill.train.learner) stand the log, validation, samples and checkpoints, each on
its own schedule, and the promise that a run which was killed goes on as if it had not been.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import ConfigError, Interrupted
from bytemill.train.device import pick_device
from bytemill.train.distributed import World
from bytemill.train.learner import Learner
from bytemill.train.memory import lack_of_memory_named
from bytemill.train.plan import ends_an_epoch, opening_lines
from bytemill.train.profiler import profiled
from bytemill.train.run import Run
from bytemill.train.signals import StopSignals

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig, TrainConfig
    from bytemill.train.task import Task

__all__ = ["Outcome", "fit"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    steps: int
    """Steps done over all tries."""
    metrics: dict[str, Any]
    """The metrics of the last step; empty when there was nothing left to do."""


def fit(task: Task, config: RunConfig, run_dir: str | Path, *, resume: bool = False, progress: bool = True) -> Outcome:
    """Train `task` until `config.train.max_steps`, writing the run into `run_dir`.

    Args:
        task: What to train; see bytemill.train.task.
        config: The settings; all of them are saved with the run, those of `train` are obeyed here.
        run_dir: The run's folder; see bytemill.train.run.
        resume: Go on from the newest valid checkpoint of `run_dir`, bit-equal on one machine.
        progress: Show progress on stderr.

    Raises:
        Interrupted: SIGTERM or SIGINT came; everything is saved.
        DivergedError: A loss or gradient was no number, and `on_nonfinite` is "stop"; the weights of
            the last checkpoint are untouched.
        CheckpointError: Nothing to resume, or of another model or other data; or the disk is full.
        ConfigError: A setting cannot work here, or memory runs out.
    """
    settings, world = config.train, World.from_environment()
    if settings.micro_batches % world.size:
        raise ConfigError(
            f"train.micro_batches is {settings.micro_batches}; it must be a multiple of the {world.size} processes"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device, local_rank=world.local_rank)
    with lack_of_memory_named(), world.joined(device), StopSignals(alone=world.size == 1) as signals:
        learner = Learner(task, settings, world)
        with Run(Path(run_dir), config, learner, progress=progress) as run:
            step, record = run.begin(resume=resume)
            for line in [*opening_lines(task, settings), *learner.notes()]:
                run.say(line)
            with profiled(run.folder / "profile", settings.profile_steps if run.writes else 0) as profiler:
                return _steps(learner, run, signals, profiler, step, record)


def _steps(
    learner: Learner, run: Run, signals: StopSignals, profiler: Any, step: int, record: dict[str, Any] | None
) -> Outcome:
    """All steps that are left.

    Args:
        learner: Does a step, and measures.
        run: Where it is written down.
        signals: Whether to stop.
        profiler: Told of each step.
        step: Steps done.
        record: The metrics of the last step while its validation, log and checkpoint are still due.
    """
    settings = learner.settings
    measured: dict[str, Any] = {}
    batches = iter(learner.task.batches)
    while True:
        try:
            is_new = record is not None
            if record is not None:
                with signals.raising():
                    validation, samples = learner.measure(
                        validates=_is_due(step, settings.eval_every, settings), samples=_samples_are_due(step, learner)
                    )
                measured, record = record | validation, None
                if _is_due(step, settings.log_every, settings) or validation or samples:
                    run.log(step, measured, samples)
            stops_early, is_best = _judged(step, learner, run)
            is_over = step >= settings.max_steps or stops_early
            if step and is_new and (is_over or is_best or _is_due(step, settings.checkpoint_every, settings)):
                run.save(step)
            if stops_early and is_new:
                _draw_last_samples(step, learner, run, signals)
            signals.check()
        except Interrupted:
            run.save(step, pending=record)
            raise
        if is_over:
            run.say_which_is_best(step)
            return Outcome(step, measured)
        record, stop_wished = learner.step(step, batches, run, stop_wished=signals.received is not None)
        profiler.step()
        if stop_wished:
            signals.agree()
        step += 1


def _judged(step: int, learner: Learner, run: Run) -> tuple[bool, bool]:
    """Whether the run ends early, and whether this step has the lowest validation loss that is worth a checkpoint.

    Both as the first process, which validates, sees it.
    """
    settings = learner.settings
    if not (settings.patience or settings.keep_best) or not _is_due(step, settings.eval_every, settings):
        return False, False
    own = [float(0 < settings.patience <= run.validations_since_best()), float(run.is_best(step))]
    stops_early, is_best = map(bool, learner.world.sum(own, learner.device))
    if stops_early:
        run.say(f"stopped at step {step}: no lower validation loss in the last {settings.patience} validations")
    return stops_early, is_best


def _draw_last_samples(step: int, learner: Learner, run: Run, signals: StopSignals) -> None:
    """Draw the samples that the last step would have had, where a run ends before it."""
    settings = learner.settings
    if (settings.sample_every or settings.sample_each_epoch) and not _samples_are_due(step, learner):
        with signals.raising():
            run.log_samples(step, learner.measure(validates=False, samples=True)[1])


def _samples_are_due(step: int, learner: Learner) -> bool:
    settings = learner.settings
    if _is_due(step, settings.sample_every, settings):
        return True
    ends = step == settings.max_steps or ends_an_epoch(step, learner.task.epoch, settings)
    return settings.sample_each_epoch and ends


def _is_due(step: int, every: int, settings: TrainConfig) -> bool:
    return every > 0 and (step % every == 0 or step == settings.max_steps)
