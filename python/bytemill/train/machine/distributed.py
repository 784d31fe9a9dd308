"""The processes of one run, as torchrun starts them; one process alone is a world of size one.

Sums travel in float64 and gradients as sums, never as means of means: two processes then do to the
bit what one does with two micro-batches.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["World"]


@dataclass(frozen=True)
class World:
    """This process among the others: `rank` of `size`, and `local_rank` on its own machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> World:
        """Read torchrun's variables; without them, a world of one.

        Raises:
            ConfigError: A variable is no number.
        """
        try:
            rank, size, local = (
                int(os.environ.get(name, default))
                for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
            )
        except ValueError as error:
            raise ConfigError(f"RANK, WORLD_SIZE and LOCAL_RANK must be whole numbers: {error}") from None
        return cls(rank, size, local)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes files and prints."""
        return self.rank == 0

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[World]:
        """Connected to the other processes, if there are any."""
        if self.size == 1 or dist.is_initialized():
            yield self
            return
        on_gpu = device.type == "cuda"
        # Told its GPU, NCCL connects at once, and need not guess it at the first barrier.
        dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
        try:
            yield self
        finally:
            dist.destroy_process_group()

    def wrap(self, model: torch.nn.Module, parallel: str = "ddp") -> torch.nn.Module:
        """The model with its gradients averaged over processes after a backward pass.

        Args:
            model: On its device.
            parallel: "ddp", or "fsdp", which shards the model in place: its parameters are other objects after.
        """
        if self.size == 1:
            return model
        if parallel == "fsdp":
            from torch.distributed.fsdp import fully_shard  # a third of a second, which few runs need

            for child in _repeated_blocks(model):
                fully_shard(child)
            sharded: torch.nn.Module = fully_shard(model)  # type: ignore[assignment]
            return sharded
        return torch.nn.parallel.DistributedDataParallel(model)

    @contextlib.contextmanager
    def synchronised(self, model: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Context of one micro-batch: gradients travel only on the last of a step."""
        if _is_sharded(model):
            model.set_requires_gradient_sync(last)  # type: ignore[operator]
        alone = model.no_sync() if isinstance(model, torch.nn.parallel.DistributedDataParallel) and not last else None
        with alone or contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def measuring(self, model: torch.nn.Module) -> Iterator[bool]:
        """Context of validation and samples, which the first process draws for all.

        Sharded layers are gathered by all processes at once, so there all of them measure, and see the same.

        Yields:
            Whether this process measures.
        """
        if not _is_sharded(model):
            yield self.is_first
            return
        model.unshard()  # type: ignore[operator]  # for methods other than forward(), such as generating uses
        yield True
        model.reshard()  # type: ignore[operator]

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Each value summed over all processes."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(totals)
        return [float(total) for total in totals.tolist()]

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            dist.barrier()


def _repeated_blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """The layers of a stack: what is gathered and dropped again one at a time."""
    return [block for module in model.modules() if isinstance(module, torch.nn.ModuleList) for block in module]


def _is_sharded(module: torch.nn.Module) -> bool:
    """Whether `fully_shard` has made it an FSDPModule."""
    return hasattr(module, "unshard")
