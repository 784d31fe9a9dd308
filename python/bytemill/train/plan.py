"""The length of a run: converts epochs, fractions and tokens to steps and micro-batches, and describes the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig, TrainConfig
    from bytemill.train.task import Epoch, Task

__all__ = ["ends_an_epoch", "opening_lines", "resolve_micro_batches", "with_steps"]

_MANY_EPOCHS = 10


def with_steps(config: RunConfig, epoch: Epoch) -> RunConfig:
    """Turn `train.epochs` into `train.max_steps`, rounded up, and `train.warmup_share` into `train.warmup_steps`.

    >>> from bytemill.train.config import load_config
    >>> from bytemill.train.task import Epoch
    >>> tuning = load_config(None, ["task=instruct", "data.batch_size=8"])
    >>> train = with_steps(tuning, Epoch(51, "rows", batch_size=8)).train
    >>> train.epochs, train.max_steps, train.warmup_steps
    (3.0, 20, 2)
    """
    train = config.train
    if train.epochs is not None:
        # 1.1 x 100 / 10 is a little more than 11 in floats
        steps = math.ceil(round(train.epochs * epoch.size / (epoch.batch_size * train.micro_batches), 9))
        config = config.with_train(max_steps=max(steps, 1))
    if train.warmup_share is not None:
        config = config.with_train(warmup_steps=int(round(train.warmup_share * config.train.max_steps, 9)))
    return config


def resolve_micro_batches(config: RunConfig) -> RunConfig:
    """Turn `train.total_batch_tokens` into `train.micro_batches`.

    Raises:
        ConfigError: The tokens are not a multiple of a micro-batch; the error suggests one.

    >>> from bytemill.train.config import load_config
    >>> settings = ["train.total_batch_tokens=524288", "data.batch_size=16", "data.seq_len=1024"]
    >>> gpt2 = load_config(None, settings)
    >>> resolve_micro_batches(gpt2).train.micro_batches
    32
    """
    total, per_micro_batch = config.train.total_batch_tokens, config.data.batch_size * config.data.seq_len
    if total is None:
        return config
    n_micro_batches, rest = divmod(total, per_micro_batch)
    if rest or not n_micro_batches:
        raise ConfigError(
            f"train.total_batch_tokens is {total}; it must be a multiple of data.batch_size x data.seq_len, "
            f"{per_micro_batch}, such as {max(n_micro_batches, 1) * per_micro_batch}"
        )
    return config.with_train(micro_batches=n_micro_batches)


def opening_lines(task: Task, settings: TrainConfig) -> list[str]:
    """Return the lines printed before the first step: length of the run, trainable parameters, and warnings.

    The line of trainable parameters has the format of peft's `print_trainable_parameters`.
    """
    lines = [] if task.epoch is None else _length(task.epoch, settings)
    n_all = sum(parameter.numel() for parameter in task.model.parameters())
    n_trainable = sum(parameter.numel() for parameter in task.trainable())
    share = 100 * n_trainable / n_all if n_all else 0.0
    lines.append(f"trainable params: {n_trainable:,} || all params: {n_all:,} || trainable%: {share:.4f}")
    if task.samples is None and (settings.sample_every or settings.sample_each_epoch):
        lines.append(f"no text samples: {task.why_no_samples}")
    return lines


def ends_an_epoch(step: int, epoch: Epoch | None, settings: TrainConfig) -> bool:
    """Return whether the step before `step` contains the last row of an epoch; False if epochs are unknown.

    >>> from bytemill.train.config import TrainConfig
    >>> from bytemill.train.task import Epoch
    >>> [step for step in range(8) if ends_an_epoch(step, Epoch(10, "rows", batch_size=4), TrainConfig())]
    [3, 5]
    """
    if epoch is None or step == 0:
        return False
    per_step = epoch.batch_size * settings.micro_batches
    return step * per_step // epoch.size > (step - 1) * per_step // epoch.size


def _length(epoch: Epoch, settings: TrainConfig) -> list[str]:
    per_step, steps = epoch.batch_size * settings.micro_batches, settings.max_steps
    counted = f"{steps:,} step{'' if steps == 1 else 's'} of {per_step:,}"
    size = f"{epoch.size:,} {epoch.unit}"
    passes = steps * per_step / epoch.size
    if settings.epochs is None:
        lines = [f"{size}, {counted} = {_epochs(round(passes, 1))}"]
    else:
        passes = settings.epochs
        lines = [f"{size}, {_epochs(passes)} = {counted}"]
    if passes > _MANY_EPOCHS:
        lines.append(
            f"warning: {passes:,.0f} passes over the same {epoch.unit}: the model will overfit; 1 to 5 epochs are "
            "usual (train.epochs), and train.patience ends a run that no longer improves"
        )
    return lines


def _epochs(number: float) -> str:
    return f"{number:,.10g} epoch{'' if number == 1 else 's'}"
