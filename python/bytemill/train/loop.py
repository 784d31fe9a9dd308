"""The training loop: `fit` trains every task of this project.

    repeat:
        validate, sample and log, each if due                     (before the first step too)
        save a checkpoint, if due or if the validation loss is the lowest so far
        stop after the last step, if the loss no longer falls, if the time is up, or on a signal
        learner.step(...);  step += 1

`bytemill.train.plain` has the loop by definition, and bytemill.train.learner has the step. A stopped run can be resumed
and gives the same result as without the stop. So it may begin with the work after a step: `pending` holds the metrics
of a step that is not logged yet, and is None if the step is logged.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import ConfigError, Interrupted
from bytemill.notebook.fragments import facts
from bytemill.progress import watched
from bytemill.train.clock import Clock
from bytemill.train.learner import Learner
from bytemill.train.machine.device import pick_device
from bytemill.train.machine.distributed import World
from bytemill.train.machine.memory import lack_of_memory_named
from bytemill.train.machine.profiler import profiled
from bytemill.train.plan import ends_an_epoch, opening_lines
from bytemill.train.run.folder import Run
from bytemill.train.signals import Stop, StopSignals

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig, TrainConfig
    from bytemill.train.task import Task

__all__ = ["Outcome", "fit"]


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    steps: int
    """Steps done so far, including those before a resume."""
    metrics: dict[str, Any]
    """The metrics of the last step; empty when there was nothing left to do."""
    is_complete: bool = True
    """False when `train.max_seconds` ended the run before its last step; it can be resumed."""
    folder: Path | None = None
    """The run's folder."""

    def _repr_html_(self) -> str:
        rows = {"steps": f"{self.steps:,}" if self.is_complete else f"{self.steps:,}: stopped by train.max_seconds"}
        names = {"loss": "loss", "val_loss": "validation loss"}
        rows |= {names[name]: f"{self.metrics[name]:.4f}" for name in names if name in self.metrics}
        note = f"bytemill.report.show({str(self.folder)!r}) shows its curves and samples." if self.folder else ""
        return facts(f"Run in {self.folder}" if self.folder else "Run", rows, note)


def fit(task: Task, config: RunConfig, run_dir: str | Path, *, resume: bool = False, progress: bool = True) -> Outcome:
    """Train `task` until `config.train.max_steps` or `config.train.max_seconds`, writing the run into `run_dir`.

    Args:
        task: The task to train; see bytemill.train.task.
        config: The settings; all of them are saved with the run, and the `train` section is used here.
        run_dir: The run's folder; see bytemill.train.run.folder.
        resume: Continue from the newest valid checkpoint of `run_dir`; the result is bit-equal on the same machine.
        progress: Show progress on stderr, or in the cell of a notebook.

    Raises:
        Interrupted: SIGTERM or SIGINT was received; a checkpoint is saved.
        DivergedError: A loss or gradient is NaN or infinite, and `on_nonfinite` is "stop"; the last
            checkpoint is unchanged.
        CheckpointError: There is no checkpoint to resume, it is of another model or other data, or the disk is full.
        ConfigError: A setting does not work on this machine, or memory runs out.
    """
    settings, world = config.train, World.from_environment()
    clock = Clock(settings.max_seconds, checkpoint_bytes=_checkpoint_bytes(task))
    if settings.micro_batches % world.size:
        raise ConfigError(
            f"train.micro_batches is {settings.micro_batches}; it must be a multiple of the {world.size} processes"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = pick_device(settings.device, local_rank=world.local_rank)
    with lack_of_memory_named(), world.joined(device), StopSignals(alone=world.size == 1) as signals:
        learner = Learner(task, settings, world)
        with contextlib.closing(learner), Run(Path(run_dir), config, learner, clock, progress=progress) as run:
            step, pending = run.begin(resume=resume)
            for line in [*opening_lines(task, settings), *learner.notes()]:
                run.say(line)
            with profiled(run.folder / "profile", settings.profile_steps if run.writes else 0) as profiler:
                return _steps(learner, run, signals, clock, profiler, step, pending)


def _steps(
    learner: Learner,
    run: Run,
    signals: StopSignals,
    clock: Clock,
    profiler: Any,
    step: int,
    pending: dict[str, Any] | None,
) -> Outcome:
    """Do all remaining steps, as the text at the top of this file says.

    Args:
        learner: Does a step, validates and samples.
        run: Writes logs and checkpoints.
        signals: Says whether a signal was received.
        clock: Says whether there is time for more.
        profiler: Counts the steps.
        step: Number of steps done.
        pending: Metrics of the last step if its validation, log and checkpoint are still due.
    """
    settings, first = learner.settings, step
    measured: dict[str, Any] = {}
    batches = iter(learner.task.batches)
    stops = Stop.NO  # why any of the processes wants to stop
    while True:
        try:
            is_logged = pending is None  # only in the first turn after a resume; the step is saved, too
            if pending is not None:
                if step > first and _time_is_up(stops, learner, clock, *_measurement_due(step, learner)):
                    return _stop_for_time(step, measured, run, pending)
                measured = _measure_and_log(step, pending, learner, run, signals, clock)
                pending = None
            stops_early, is_best = _early_stop_and_best(step, learner, run)
            is_over = step >= settings.max_steps or stops_early
            if step and not is_logged and (is_over or is_best or _is_due(step, settings.checkpoint_every, settings)):
                run.save(step)
            if stops_early and not is_logged:
                _draw_last_samples(step, learner, run, signals)
            signals.check()
        except Interrupted as interruption:
            run.save(step, pending=pending)
            raise Interrupted(f"{interruption}. Saved step {step}", exit_code=interruption.exit_code) from None
        if is_over:
            run.say_which_is_best(step)
            return Outcome(step, measured, folder=run.folder)
        if step > first and _time_is_up(stops, learner, clock, "step"):
            return _stop_for_time(step, measured, run)
        own_stop = signals.requested
        # Several processes agree on a stop only inside a step, and again only inside the next one. So each asks now
        # whether there is time for this step, its measurements and the next step.
        if not clock.has_time_for("step", *_measurement_due(step + 1, learner), "step"):
            own_stop |= Stop.TIME
        with clock.timing("step"):
            pending, stops = learner.step(step, batches, run, own_stop=own_stop)
        profiler.step()
        if Stop.SIGNAL in stops:
            signals.agree()
        step += 1


def _measure_and_log(
    step: int, record: dict[str, Any], learner: Learner, run: Run, signals: StopSignals, clock: Clock
) -> dict[str, Any]:
    """Validate and sample after a step if due; log the results with the step's own metrics."""
    settings = learner.settings
    validates, samples = _is_due(step, settings.eval_every, settings), _samples_are_due(step, learner)
    with signals.raising(), clock.timing(*_measurement_due(step, learner)), watched(run.measuring):
        validation, texts = learner.measure(validates=validates, samples=samples)
    if _is_due(step, settings.log_every, settings) or validation or texts:
        run.log(step, record | validation, texts)
    return record | validation


def _measurement_due(step: int, learner: Learner) -> tuple[str, ...]:
    """Return the clock's name for the measurements due after `step`; empty if none is due."""
    is_due = _is_due(step, learner.settings.eval_every, learner.settings) or _samples_are_due(step, learner)
    return ("measure",) if is_due else ()


def _time_is_up(stops: Stop, learner: Learner, clock: Clock, *work: str) -> bool:
    """Return whether there is no time for `work`. Clocks differ, so several processes use what the last step summed."""
    return Stop.TIME in stops if learner.world.size > 1 else not clock.has_time_for(*work)


def _stop_for_time(step: int, measured: dict[str, Any], run: Run, pending: dict[str, Any] | None = None) -> Outcome:
    run.save(step, pending=pending)
    limit, most = run.config.train.max_seconds, run.config.train.max_steps
    run.say(f"stopped after step {step:,} of {most:,}, which is saved: train.max_seconds is {limit:g}")
    return Outcome(step, measured, is_complete=False, folder=run.folder)


def _early_stop_and_best(step: int, learner: Learner, run: Run) -> tuple[bool, bool]:
    """Return whether the run ends early, and whether this step has the lowest validation loss and is to be saved.

    Some processes have no validation losses, so the answers of all are summed: one yes is enough.
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
    """Sample text at the end of a run that stops early, as the last step would have done."""
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


def _checkpoint_bytes(task: Task) -> int:
    """Return the approximate size of a checkpoint: all weights, and two moments per trained weight."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in task.model.parameters())
    return weights + 2 * sum(parameter.numel() * parameter.element_size() for parameter in task.trainable())
