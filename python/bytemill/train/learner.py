"""One optimizer step over several micro-batches and processes.

    for each micro-batch: loss_sum.backward()                 (gradients add up)
    gradient = gradient / number of targets, clipped
    lr = schedule(step)
    optimizer.step();  gradient = 0

`bytemill.train.plain` is the definition; read it first. Here a step also handles half precision, NaNs and several
processes, and measures itself for the log.
"""

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
_COUNT_OF = "count of "
"""A metric NAME with its own count is two sums of the step: NAME and "count of NAME"."""


class StepLog(Protocol):
    """Where a step prints messages and counts tokens."""

    tokens_seen: int
    """Tokens read by all steps so far."""

    def say(self, text: str) -> None:
        """Print one line for the user."""


class Learner:
    """A task's model with its optimizer, loss scale and device.

    Args:
        task: The task to train; its model is moved to the device.
        settings: Settings of the train section.
        world: The processes of this run, connected.

    Raises:
        ConfigError: A setting does not work on this machine.
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
        parameters = dict(task.model.named_parameters())  # sharding replaces the parameter objects
        self._parameters = [parameters[name] for name in trainable]
        self.optimizer = build_optimizer(
            self._parameters, settings, hidden_matrices=[parameters[name] for name in matrices]
        )
        self.loss_scale = LossScale(enabled=product_dtype(self.device, settings.precision) == torch.float16)
        self._model = cast("torch.nn.Module", torch.compile(self._parallel) if settings.compile else self._parallel)
        self._peak_flops = peak_flops(self.device, settings.precision) if task.flops_per_token else None
        self._gradients = GradientWatch()
        self._waiting = ThreadWaiting(
            enabled=self.device.type == "cpu", n_parameters=sum(one.numel() for one in task.model.parameters())
        )
        # MPS has no float64; on other devices sums over micro-batches are in float64.
        self._sum_dtype = torch.float32 if self.device.type == "mps" else torch.float64

    def step(
        self, step: int, batches: Iterator[Any], log: StepLog, *, own_stop: Stop = Stop.NO
    ) -> tuple[dict[str, Any], Stop]:
        """Do one optimizer step.

        Args:
            step: Number of steps done before.
            batches: Iterator over micro-batches.
            log: Counts tokens and prints warnings.
            own_stop: Why this process wants to stop, if it does.

        Returns:
            The metrics of the step, and why any of the processes wants to stop.

        Raises:
            DivergedError: The loss or the gradient is NaN or infinite, and `on_nonfinite` is "stop".
        """
        began, began_cpu = time.perf_counter(), time.process_time()
        where = f"its batches began at {self.task.batches.state_dict()}"
        seed_step(self.settings.seed, step, self.world.rank)
        sums, stops = self._accumulate(batches, own_stop)
        weight, tokens = sums.pop("weight"), int(sums.pop("tokens"))
        means = _means(sums, weight)
        gradient_norm, gradient_max = self._mean_gradient(weight, step)
        rate = learning_rate_at(step, self.settings)
        updates = self._may_update(step, means["loss"], gradient_norm, where, log)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if updates:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        log.tokens_seen += tokens
        seconds = time.perf_counter() - began
        self._waiting.after_step(seconds, time.process_time() - began_cpu)
        always = {"lr": rate, "tokens": log.tokens_seen, **self._epochs(), "ms": round(seconds * 1e3, 3)}
        if not updates:
            return {"skipped": 1, **always}, stops
        self._warn_of_growth(step, gradient_norm, log)
        return {
            **means,
            **always,
            "grad_norm": gradient_norm,
            "grad_max": gradient_max,
            **self._speed(tokens / seconds),
        }, stops

    def close(self) -> None:
        """End the helper thread that training on a CPU may have started; the model stays usable."""
        self._waiting.close()

    def notes(self) -> list[str]:
        """Return one sentence per metric that this machine or task cannot log."""
        if self.task.flops_per_token and not self._peak_flops:
            return [f"MFU is not logged: the peak speed of {device_name(self.device)} is not known"]
        return []

    def measure(self, *, validates: bool, samples: bool) -> tuple[dict[str, float], list[Mapping[str, str]]]:
        """Return the validation metrics and the text samples; each is empty when not asked for."""
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

    def _accumulate(self, batches: Iterator[Any], own_stop: Stop) -> tuple[dict[str, float], Stop]:
        """Add up the gradients of the summed loss over this step's micro-batches.

        Returns:
            Loss, weight, tokens and metrics, each summed over micro-batches and processes; and why any process stops.
        """
        self.task.model.train()
        sums: dict[str, Any] = {"loss": 0.0, "weight": 0.0, "tokens": 0}
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
        # The stop flags travel with the sums, in one exchange; a flag is not zero after it if any process has set it.
        flags = (float(Stop.SIGNAL in own_stop), float(Stop.TIME in own_stop))
        signal, time_is_up, *totals = self.world.sum([*flags, *map(float, sums.values())], self.device)
        stops = (Stop.SIGNAL if signal else Stop.NO) | (Stop.TIME if time_is_up else Stop.NO)
        return dict(zip(sums, totals, strict=True)), stops

    def _mean_gradient(self, weight: float, step: int) -> tuple[float, float]:
        """Turn gradients of the sum into clipped gradients of the mean; return unclipped norm and largest entry."""
        settings = self.settings
        # torch has averaged the gradients over processes: times the world size is their sum. The loss scale is fp16's.
        scale = self.world.size / weight / self.loss_scale.value if weight else math.nan
        largest = largest_gradient(self._parameters, scale)
        clips = not settings.clip_after_warmup or step >= settings.warmup_steps
        norm = scale_and_clip_gradients(self._parameters, scale, settings.clip_norm if clips else 0.0)
        return norm, largest

    def _may_update(self, step: int, loss: float, gradient_norm: float, where: str, log: StepLog) -> bool:
        """Return whether loss and gradient are finite, so that the weights may change; adapt the loss scale of fp16."""
        if math.isfinite(loss) and self.loss_scale.enabled:
            return self._adapt_scale(step, math.isfinite(gradient_norm), where, log)
        if math.isfinite(loss) and math.isfinite(gradient_norm):
            return True
        if self.settings.on_nonfinite == "stop":
            raise DivergedError(
                f"step {step + 1}: the loss is {loss}, the gradient norm is {gradient_norm}; {where}; "
                "nothing was saved since the last checkpoint"
            )
        log.say(f"step {step + 1} skipped: loss {loss}, gradient norm {gradient_norm}; {where}")
        return False

    def _adapt_scale(self, step: int, finite: bool, where: str, log: StepLog) -> bool:
        """Adapt the loss scale of fp16; return False for a step to skip because its gradients overflowed."""
        self.loss_scale.update(finite=finite)
        if finite:
            return True
        scale = self.loss_scale.value
        if scale < _SMALLEST_SCALE:
            raise DivergedError(
                f"step {step + 1}: fp16 gradients overflow at every loss scale down to {scale:.1e}; {where}; "
                "use train.precision=bf16 or a lower train.learning_rate"
            )
        log.say(f"step {step + 1} skipped: its fp16 gradients overflow; the loss scale is {scale:g} from now on")
        return False

    def _warn_of_growth(self, step: int, norm: float, log: StepLog) -> None:
        """Print a warning if the gradient norm has grown by orders of magnitude, with settings that help."""
        growth = self._gradients.growth(norm)
        if growth is None:
            return
        helps = ["a lower train.learning_rate", "more train.warmup_steps"]
        helps += [] if self.settings.clip_norm else ["train.clip_norm=1"]
        helps += ["train.precision=bf16 or fp32"] if self.loss_scale.enabled else []
        log.say(
            f"warning: step {step + 1}: the gradient norm is {norm:.3g}, {growth:,.0f} times the median of the steps "
            f"before: training may be about to diverge; {', '.join(helps[:-1])} or {helps[-1]} helps"
        )

    def _epochs(self) -> dict[str, float]:
        """Return the passes over the training data so far; empty when the task does not know their size."""
        epoch = self.task.epoch
        return {} if epoch is None else {"epoch": round(self.task.batches.state_dict()["position"] / epoch.size, 6)}

    def _speed(self, tokens_per_s: float) -> dict[str, float]:
        speed = {"tokens_per_s": round(tokens_per_s, 1), "memory_mib": peak_memory_mib(self.device)}
        if self._peak_flops:
            whole = self._peak_flops * self.world.size
            speed["mfu"] = round(tokens_per_s * self.task.flops_per_token / whole, 4)
        return speed


def _with_counts(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return each sum under its name, and the counts that some have under "count of NAME"."""
    pairs = {name: value for name, value in metrics.items() if isinstance(value, tuple)}
    sums = {name: value[0] if name in pairs else value for name, value in metrics.items()}
    return sums | {_COUNT_OF + name: count for name, (_, count) in pairs.items()}


def _means(sums: dict[str, float], weight: float) -> dict[str, float]:
    """Return each sum divided by its own count, or by the weight if it has none.

    >>> _means({"loss": 6.0, "accuracy": 2.0, "count of accuracy": 4.0}, 3.0)
    {'loss': 2.0, 'accuracy': 0.5}
    """
    means = {}
    for name, total in sums.items():
        if not name.startswith(_COUNT_OF):
            divisor = sums.get(_COUNT_OF + name, weight)
            means[name] = total / divisor if divisor else math.nan
    return means


def _names_of(parameters: Any, model: torch.nn.Module) -> list[str]:
    """Return the parameters' names in the model, in the order given."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [names[id(parameter)] for parameter in parameters]
