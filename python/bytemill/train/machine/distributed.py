"""Connects the processes of one run, as torchrun starts them; a single process is a world of size one.

Processes exchange sums in float64 and gradients as sums, never means of means. Two processes then compute, bit for bit,
what one process computes with two micro-batches.
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
    """This process's rank among all `size` processes, and its `local_rank` on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> World:
        """Read torchrun's environment variables; without them, return a world of one process.

        Raises:
            ConfigError: A variable is not a whole number.
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
        """Whether this process writes files and prints."""
        return self.rank == 0

    @contextlib.contextmanager
    def joined(self, device: torch.device) -> Iterator[World]:
        """Connect to the other processes, if there are any, while the context is open."""
        if self.size == 1 or dist.is_initialized():
            yield self
            return
        on_gpu = device.type == "cuda"
        # Given its GPU, NCCL connects immediately and does not have to guess the GPU at the first barrier.
        dist.init_process_group("nccl" if on_gpu else "gloo", device_id=device if on_gpu else None)
        try:
            yield self
        finally:
            dist.destroy_process_group()

    def wrap(self, model: torch.nn.Module, parallel: str = "ddp") -> torch.nn.Module:
        """Return the model wrapped so that a backward pass averages its gradients over processes.

        Args:
            model: The model, on its device.
            parallel: "ddp", or "fsdp", which shards the model in place and replaces its parameter objects.
        """
        if self.size == 1:
            return model
        if parallel == "fsdp":
            from torch.distributed.fsdp import fully_shard  # takes a third of a second to import; few runs need it

            for child in _repeated_blocks(model):
                fully_shard(child)
            sharded: torch.nn.Module = fully_shard(model)  # type: ignore[assignment]
            return sharded
        return torch.nn.parallel.DistributedDataParallel(model)

    @contextlib.contextmanager
    def synchronised(self, model: torch.nn.Module, *, last: bool) -> Iterator[None]:
        """Synchronize gradients over processes only in the last micro-batch of a step."""
        if _is_sharded(model):
            model.set_requires_gradient_sync(last)  # type: ignore[operator]
        alone = model.no_sync() if isinstance(model, torch.nn.parallel.DistributedDataParallel) and not last else None
        with alone or contextlib.nullcontext():
            yield

    @contextlib.contextmanager
    def measuring(self, model: torch.nn.Module) -> Iterator[bool]:
        """Prepare the model for validation and sampling, which the first process does for all.

        Sharded layers are gathered by all processes together, so with sharding all processes measure the same.

        Yields:
            Whether this process measures.
        """
        if not _is_sharded(model):
            yield self.is_first
            return
        model.unshard()  # type: ignore[operator]  # for methods other than forward(), which generation uses
        yield True
        model.reshard()  # type: ignore[operator]

    def sum(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return each value summed over all processes."""
        if self.size == 1:
            return list(values)
        totals = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(totals)
        return [float(total) for total in totals.tolist()]

    def wait(self) -> None:
        """Wait until every process has called this."""
        if self.size > 1:
            dist.barrier()


def _repeated_blocks(model: torch.nn.Module) -> list[torch.nn.Module]:
    """Return the layers of a stack; FSDP gathers and frees them one at a time."""
    return [block for module in model.modules() if isinstance(module, torch.nn.ModuleList) for block in module]


def _is_sharded(module: torch.nn.Module) -> bool:
    """Return whether `fully_shard` has turned the module into an FSDPModule."""
    return hasattr(module, "unshard")
