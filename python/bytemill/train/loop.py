"""The one training loop: every task of this project is trained by `fit`.

A step is: accumulate micro-batches, scale and clip the gradient, set the learning rate, move the
weights. Around it stand the log, validation, samples and checkpoints, each on its own schedule, and
the promise that a run which was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from bytemill.errors import ConfigError, DivergedError, Interrupted
from bytemill.train.device import autocast, pick_device, seed_step, to_device
from bytemill.train.distributed import World
from bytemill.train.optim import build_adamw, scale_and_clip_gradients
from bytemill.train.run import Run
from bytemill.train.schedule import learning_rate_at
from bytemill.train.signals import StopSignals

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
        ConfigError: A setting cannot work here.
    """
    settings, world = config.train, World.from_environment()
    device = pick_device(settings.device, local_rank=world.local_rank)
    if settings.micro_batches % world.size:
        raise ConfigError(
            f"train.micro_batches is {settings.micro_batches}; it must be a multiple of the {world.size} processes"
        )
    if settings.threads:
        torch.set_num_threads(settings.threads)
    task.model.to(device)
    optimizer = build_adamw(task.trainable(), settings)
    with (
        world.joined(device),
        StopSignals(alone=world.size == 1) as signals,
        Run(Path(run_dir), config, task, optimizer, writes=world.is_first, progress=progress) as run,
    ):
        step, record = run.begin(device, resume=resume)
        learner = _Learner(task, settings, world, device, optimizer)
        return _steps(learner, run, signals, step, record)


def _steps(learner: _Learner, run: Run, signals: StopSignals, step: int, record: dict[str, Any] | None) -> Outcome:
    """All steps that are left.

    Args:
        learner: Does a step, and measures.
        run: Where it is written down.
        signals: Whether to stop.
        step: Steps done.
        record: The metrics of the last step while its validation, log and checkpoint are still due.
    """
    settings = learner.settings
    measured: dict[str, Any] = {}
    batches = iter(learner.task.batches)
    while True:
        try:
            if record is not None:
                with signals.raising():
                    validation, samples = learner.measure(step)
                measured, record = record | validation, None
                if _is_due(step, settings.log_every, settings) or validation or samples:
                    run.log(step, measured, samples)
                if step and (_is_due(step, settings.checkpoint_every, settings) or step == settings.max_steps):
                    run.save(step)
            signals.check()
        except Interrupted:
            run.save(step, pending=record)
            raise
        if step >= settings.max_steps:
            return Outcome(step, measured)
        record = learner.step(step, batches, run, signals)
        step += 1


def _is_due(step: int, every: int, settings: TrainConfig) -> bool:
    return every > 0 and (step % every == 0 or step == settings.max_steps)


class _Learner:
    """The model with all that moves its weights."""

    def __init__(
        self,
        task: Task,
        settings: TrainConfig,
        world: World,
        device: torch.device,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self.task, self.settings, self.world, self.device = task, settings, world, device
        self.optimizer = optimizer
        self._parameters = task.trainable()
        self._parallel = world.wrap(task.model)
        self._model = cast("torch.nn.Module", torch.compile(self._parallel) if settings.compile else self._parallel)
        # MPS has no float64; elsewhere sums over micro-batches lose nothing.
        self._sum_dtype = torch.float32 if device.type == "mps" else torch.float64

    def step(self, step: int, batches: Iterator[Any], run: Run, signals: StopSignals) -> dict[str, Any]:
        """One optimizer step; returns its metrics."""
        began = time.perf_counter()
        place = self.task.batches.state_dict()
        seed_step(self.settings.seed, step, self.world.rank)
        sums = self._accumulate(batches, stop_wished=signals.received is not None)
        if sums.pop("stop_wished"):
            signals.agree()
        weight, tokens = sums.pop("weight"), int(sums.pop("tokens"))
        # DDP has averaged the gradients over the processes; the step's gradient is their sum.
        gradient_norm = scale_and_clip_gradients(
            self._parameters, self.world.size / weight if weight else math.nan, self.settings.clip_norm
        )
        means = {name: total / weight if weight else math.nan for name, total in sums.items()}
        skipped = not (math.isfinite(means["loss"]) and math.isfinite(gradient_norm))
        if skipped and self.settings.on_nonfinite == "stop":
            raise DivergedError(
                f"step {step + 1}: the loss is {means['loss']}, the gradient's norm {gradient_norm}; its "
                f"batches began at {place}; nothing was saved since the last checkpoint"
            )
        rate = learning_rate_at(step, self.settings)
        self._move_weights(rate, skipped=skipped)
        run.tokens_seen += tokens
        seconds = time.perf_counter() - began
        if skipped:
            run.say(f"step {step + 1} skipped: loss {means['loss']}, batches from {place}")
            return {"skipped": 1, "lr": rate, "tokens": run.tokens_seen, "ms": seconds * 1e3}
        return {
            **means,
            "lr": rate,
            "grad_norm": gradient_norm,
            "tokens": run.tokens_seen,
            "ms": round(seconds * 1e3, 3),
            "tokens_per_s": round(tokens / seconds, 1),
        }

    def measure(self, step: int) -> tuple[dict[str, float], list[Mapping[str, str]]]:
        """Validation and samples, where they are due; the first process measures for all."""
        settings = self.settings
        validation: dict[str, float] = {}
        samples: list[Mapping[str, str]] = []
        if self.world.is_first:
            self.task.model.eval()
            with torch.no_grad(), autocast(self.device, settings.precision):
                if _is_due(step, settings.eval_every, settings):
                    validation = dict(self.task.validate())
                if _is_due(step, settings.sample_every, settings):
                    samples = list(self.task.samples())
        return validation, samples

    def _accumulate(self, batches: Iterator[Any], *, stop_wished: bool) -> dict[str, float]:
        """Gradients of the summed loss over this step's micro-batches; the sums over all processes."""
        self.task.model.train()
        sums: dict[str, Any] = {"loss": 0.0, "weight": 0.0, "tokens": 0, "stop_wished": stop_wished}
        n_own = self.settings.micro_batches // self.world.size
        for index in range(n_own):
            batch = to_device(next(batches), self.device)
            with self.world.synchronised(self._parallel, last=index == n_own - 1):
                with autocast(self.device, self.settings.precision):
                    loss_sum, weight, metrics = self.task.loss(self._model, batch)
                loss_sum.backward()  # type: ignore[no-untyped-call]
            sums["tokens"] += self.task.tokens_in(batch)
            for name, value in {"loss": loss_sum, "weight": weight, **metrics}.items():
                value = value.detach().to(self._sum_dtype) if isinstance(value, torch.Tensor) else value
                sums[name] = sums.get(name, 0.0) + value
        totals = self.world.sum([float(value) for value in sums.values()], self.device)
        return dict(zip(sums, totals, strict=True))

    def _move_weights(self, rate: float, *, skipped: bool) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if not skipped:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
