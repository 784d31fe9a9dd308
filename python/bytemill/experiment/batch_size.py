"""Finds the fastest micro-batch size that fits into memory, for a fixed total batch, by trying several sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bytemill.errors import ConfigError
from bytemill.experiment.trial import run_trial
from bytemill.train.machine.device import pick_device
from bytemill.train.machine.distributed import World
from bytemill.train.machine.hardware import free_memory_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = ["find_batch_size"]

_N_STEPS = 3
_LARGEST_SHARE_OF_MEMORY = 0.8
_N_SLOWER = 2


def find_batch_size(
    config: RunConfig,
    task_of: Callable[[RunConfig], Task],
    *,
    say: Callable[[str], object] = lambda _: None,
) -> RunConfig:
    """Return the settings with the `data.batch_size` of the highest tokens per second.

    This tries sizes that divide the total batch, from one sample up, each at least 1.5 times the last. Each trial has
    three steps of one micro-batch, without torch.compile. It stops when memory is not enough, or when two sizes in a
    row are slower than the best.

    Args:
        config: Settings with `train.total_batch_tokens`.
        task_of: Builds the task of a configuration.
        say: Called with one line per size.

    Raises:
        ConfigError: `train.total_batch_tokens` is not given, or even one sample does not fit.
    """
    world = World.from_environment()
    device = pick_device(config.train.device, local_rank=world.local_rank)
    with world.joined(device):
        found = _fastest(config, task_of, world, device, say) if world.is_first else 0
        (size,) = world.sum([found], device)
    if not size:
        raise ConfigError("train.find_batch_size: not even one sample fits into memory; lower data.seq_len")
    data = config.data.model_copy(update={"batch_size": int(size)})
    return config.with_train(find_batch_size=False).model_copy(update={"data": data})


def _fastest(
    config: RunConfig,
    task_of: Callable[[RunConfig], Task],
    world: World,
    device: torch.device,
    say: Callable[[str], object],
) -> int:
    """Return the fastest size; 0 if none fits."""
    speeds: dict[int, float] = {}
    for size in _sizes(config, world):
        settings = config.with_train(total_batch_tokens=None, micro_batches=1, compile=False)
        tried = settings.model_copy(update={"data": config.data.model_copy(update={"batch_size": size})})
        try:
            trial = run_trial(task_of(tried), tried.train, n_steps=_N_STEPS)
        except torch.OutOfMemoryError:
            say(f"batch of {size}: does not fit")
            break
        speeds[size] = trial.tokens_per_second
        say(f"batch of {size}: {trial.tokens_per_second:,.0f} tokens/s, {trial.memory_mib:,.0f} MiB")
        best = max(speeds, key=lambda tried_size: speeds[tried_size])
        if list(speeds).index(best) < len(speeds) - _N_SLOWER:
            break
        # Assume that the next size needs twice as much: on a CPU, the system kills a process that uses too much memory.
        if trial.memory_mib * 2 > (trial.memory_mib + free_memory_mib(device)) * _LARGEST_SHARE_OF_MEMORY:
            break
    return max(speeds, key=lambda tried_size: speeds[tried_size], default=0)


def _sizes(config: RunConfig, world: World) -> Iterator[int]:
    """Yield micro-batch sizes: divisors of one process's samples per step, each at least 1.5 times the last."""
    total = config.train.total_batch_tokens
    if total is None:
        raise ConfigError("train.find_batch_size needs train.total_batch_tokens, the total batch size to keep")
    n_samples, rest = divmod(total, config.data.seq_len * world.size)
    if rest or not n_samples:
        raise ConfigError(
            f"train.total_batch_tokens is {total}; it must be a multiple of data.seq_len x processes, "
            f"{config.data.seq_len * world.size}"
        )
    last = 0
    for size in range(1, n_samples + 1):
        if n_samples % size == 0 and size >= 1.5 * last:
            last = size
            yield size
