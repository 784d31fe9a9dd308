"""One optimizer step: the gradient of all its micro-batches, scaled, clipped, and the weights moved."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch

from bytemill.errors import DivergedError
from bytemill.train.gradient_watch import GradientWatch
from bytemill.train.loss_scale import LossScale
from bytemill.train.machine.device import autocast, pick_device, product_dtype, seed_step, to_device, use_tf32
from bytemill.train.machine.hardware import device_name, peak_flops, peak_memory_mib
from bytemill.train.machine.waiting import ThreadWaiting
from bytemill.train.optim import build_optimizer, largest_gradient, scale_and_clip_gradients
from bytemill.train.schedule import learning_rate_at
from bytemill.train.signals import Stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bytemill.train.config import TrainConfig
    from bytemill.train.machine.distributed import World
    from bytemill.train.task import Task

__all__ = ["Learner", "StepLog"]

_SMALLEST_SCALE = 2.0**-20
_COUNT = "count of "


class StepLog(Protocol):
    """What a step tells and adds to."""

    tokens_seen: int
    """Tokens read by all steps so far."""

    def say(self, text: str) -> None:
        """Print one line for the person who watches."""


class Learner:
    """A task's model with all that moves its weights.

    Args:
        task: What is trained; its model goes to the device.
        settings: How.
        world: The processes that share the work, connected.

    Raises:
        ConfigError: A setting cannot work here.
    """

    def __init__(self, task: Task, settings: TrainConfig, world: World) -> None:
        self.task, self.settings, self.world = task, settings, world
        self.device = pick_device(settings.device, local_rank=world.local_rank)
        use_tf32(settings.precision)
        trainable = _names_of(task.trainable(), task.model)
        self.saved_names = task.saved_names()
        """The names of the tensors that a checkpoint holds; None for all."""
        matrices = _names_of(task.hidden_matrices, task.model)
        task.model.to(self.device)
        self._parallel = world.wrap(task.model, settings.parallel)
        parameters = dict(task.model.named_parameters())  # sharding has put others in their places
        self._parameters = [parameters[name] for name in trainable]
        self.optimizer = build_optimizer(
            self._parameters, settings, hidden_matrices=[parameters[name] for name in matrices]
        )
        self.loss_scale = LossScale(enabled=product_dtype(self.device, settings.precision) == torch.float16)
        self._model = cast("torch.nn.Module", torch.compile(self._parallel) if settings.compile else self._parallel)
        self._peak_flops = peak_flops(self.device, settings.precision) if task.flops_per_token else None
        self._gradients = GradientWatch()
        self._waiting = ThreadWaiting(enabled=self.device.type == "cpu")
        # MPS has no float64; elsewhere sums over micro-batches lose nothing.
        self._sum_dtype = torch.float32 if self.device.type == "mps" else torch.float64

    def step(
        self, step: int, batches: Iterator[Any], log: StepLog, *, wish: Stop = Stop.NO
    ) -> tuple[dict[str, Any], Stop]:
        """Do one optimizer step.

        Args:
            step: Steps done before.
            batches: Where its micro-batches come from.
            log: Counts tokens, and says what is unusual.
            wish: Whether this process wishes to stop.

        Returns:
            Its metrics, and the wishes of all processes together.

        Raises:
            DivergedError: The loss or the gradient is no number, and `on_nonfinite` is "stop".
        """
        began, began_cpu = time.perf_counter(), time.process_time()
        place = self.task.batches.state_dict()
        seed_step(self.settings.seed, step, self.world.rank)
        sums = self._accumulate(batches, wish)
        wishes = (Stop.SIGNAL if sums.pop("signal") else Stop.NO) | (Stop.TIME if sums.pop("time") else Stop.NO)
        weight, tokens = sums.pop("weight"), int(sums.pop("tokens"))
        means = _means(sums, weight)
        gradient_norm, gradient_max = self._mean_gradient(weight, step)
        rate = learning_rate_at(step, self.settings)
        moves = self._settle(step, means["loss"], gradient_norm, f"its batches began at {place}", log)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if moves:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        log.tokens_seen += tokens
        seconds = time.perf_counter() - began
        self._waiting.after_step(seconds, time.process_time() - began_cpu)
        always = {"lr": rate, "tokens": log.tokens_seen, **self._epochs(), "ms": round(seconds * 1e3, 3)}
        if not moves:
            return {"skipped": 1, **always}, wishes
        self._warn_of_growth(step, gradient_norm, log)
        return {
            **means,
            **always,
            "grad_norm": gradient_norm,
            "grad_max": gradient_max,
            **self._speed(tokens / seconds),
        }, wishes

    def close(self) -> None:
        """Let go of what a training needs beyond its model."""
        self._waiting.close()

    def notes(self) -> list[str]:
        """Return a sentence on each figure that this machine or task cannot log."""
        if self.task.flops_per_token and not self._peak_flops:
            return [f"MFU is not logged: the peak speed of {device_name(self.device)} is not known"]
        return []

    def measure(self, *, validates: bool, samples: bool) -> tuple[dict[str, float], list[Mapping[str, str]]]:
        """Validation and samples, where they are due."""
        validation: dict[str, float] = {}
        texts: list[Mapping[str, str]] = []
        if not (validates or samples):
            return validation, texts
        self.task.model.eval()
        with (
            self.world.measuring(self._parallel) as measures,
            torch.no_grad(),
            autocast(self.device, self.settings.precision),
        ):
            if measures:
                validation = dict(self.task.validate()) if validates else {}
                texts = list(self.task.samples()) if samples and self.task.samples is not None else []
            if validates and self.task.validate_together is not None:
                validation |= self.task.validate_together(self.world)
        return validation, texts

    def _accumulate(self, batches: Iterator[Any], wish: Stop) -> dict[str, float]:
        """Gradients of the summed loss over this step's micro-batches; the sums over all processes."""
        self.task.model.train()
        sums: dict[str, Any] = {"loss": 0.0, "weight": 0.0, "tokens": 0}
        sums |= {"signal": Stop.SIGNAL in wish, "time": Stop.TIME in wish}
        n_own = self.settings.micro_batches // self.world.size
        for index in range(n_own):
            batch = to_device(next(batches), self.device)
            with self.world.synchronised(self._parallel, last=index == n_own - 1):
                with autocast(self.device, self.settings.precision):
                    loss_sum, weight, metrics = self.task.loss(self._model, batch)
                self.loss_scale.scaled(loss_sum).backward()  # type: ignore[no-untyped-call]
            sums["tokens"] += self.task.tokens_in(batch)
            for name, value in {"loss": loss_sum, "weight": weight, **_with_counts(metrics)}.items():
                value = value.detach().to(self._sum_dtype) if isinstance(value, torch.Tensor) else value
                sums[name] = sums.get(name, 0.0) + value
        totals = self.world.sum([float(value) for value in sums.values()], self.device)
        return dict(zip(sums, totals, strict=True))

    def _mean_gradient(self, weight: float, step: int) -> tuple[float, float]:
        """Turn the gradients of the sum into those of the mean, clipped; return norm and largest entry before that."""
        settings = self.settings
        # The processes' gradients have been averaged; the step's gradient is their sum.
        scale = self.world.size / weight / self.loss_scale.value if weight else math.nan
        largest = largest_gradient(self._parameters, scale)
        clips = not settings.clip_after_warmup or step >= settings.warmup_steps
        norm = scale_and_clip_gradients(self._parameters, scale, settings.clip_norm if clips else 0.0)
        return norm, largest

    def _settle(self, step: int, loss: float, gradient_norm: float, place: str, log: StepLog) -> bool:
        """Whether the weights may move; adapts fp16's scale."""
        if math.isfinite(loss) and self.loss_scale.enabled:
            return self._adapt_scale(step, math.isfinite(gradient_norm), place, log)
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            return True
        if self.settings.on_nonfinite == "stop":
            raise DivergedError(
                f"step {step + 1}: the loss is {loss}, the gradient's norm {gradient_norm}; {place}; "
                "nothing was saved since the last checkpoint"
            )
        log.say(f"step {step + 1} skipped: loss {loss}, gradient norm {gradient_norm}; {place}")
        return False

    def _adapt_scale(self, step: int, finite: bool, place: str, log: StepLog) -> bool:
        """Adapt fp16's scale to a step; one whose gradients overflowed is left out."""
        self.loss_scale.update(finite=finite)
        if finite:
            return True
        scale = self.loss_scale.value
        if scale < _SMALLEST_SCALE:
            raise DivergedError(
                f"step {step + 1}: fp16 gradients overflow at every scale down to {scale:.1e}; {place}; "
                "train.precision=bf16 or a lower train.learning_rate would help"
            )
        log.say(f"step {step + 1} left out: its fp16 gradients overflow; the loss is scaled by {scale:g} from here")
        return False

    def _warn_of_growth(self, step: int, norm: float, log: StepLog) -> None:
        """Say that the gradient grows by orders of magnitude, and what helps."""
        growth = self._gradients.growth(norm)
        if growth is None:
            return
        helps = ["a lower train.learning_rate", "more train.warmup_steps"]
        helps += [] if self.settings.clip_norm else ["train.clip_norm=1"]
        helps += ["train.precision=bf16 or fp32"] if self.loss_scale.enabled else []
        log.say(
            f"warning: step {step + 1}: the gradient's norm is {norm:.3g}, {growth:,.0f} times the median of the steps "
            f"before: training may be about to diverge; {', '.join(helps[:-1])} or {helps[-1]} helps"
        )

    def _epochs(self) -> dict[str, float]:
        """Passes over the training data so far, where the task knows their size."""
        epoch = self.task.epoch
        return {} if epoch is None else {"epoch": round(self.task.batches.state_dict()["position"] / epoch.size, 6)}

    def _speed(self, tokens_per_s: float) -> dict[str, float]:
        speed = {"tokens_per_s": round(tokens_per_s, 1), "memory_mib": peak_memory_mib(self.device)}
        if self._peak_flops:
            whole = self._peak_flops * self.world.size
            speed["mfu"] = round(tokens_per_s * self.task.flops_per_token / whole, 4)
        return speed


def _with_counts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Each sum by its name, and the counts that some have by names of their own."""
    pairs = {name: value for name, value in metrics.items() if isinstance(value, tuple)}
    sums = {name: value[0] if name in pairs else value for name, value in metrics.items()}
    return sums | {_COUNT + name: count for name, (_, count) in pairs.items()}


def _means(sums: dict[str, float], weight: float) -> dict[str, float]:
    """Each sum over its own count, if it has one, or over the weight.

    >>> _means({"loss": 6.0, "accuracy": 2.0, "count of accuracy": 4.0}, 3.0)
    {'loss': 2.0, 'accuracy': 0.5}
    """
    means = {}
    for name, total in sums.items():
        if not name.startswith(_COUNT):
            divisor = sums.get(_COUNT + name, weight)
            means[name] = total / divisor if divisor else math.nan
    return means


def _names_of(parameters: Any, model: torch.nn.Module) -> list[str]:
    """The parameters' names in the model, in their own order."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in parameters]
