"""Turns an out-of-memory error into one sentence with the settings that need less memory."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import torch

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["lack_of_memory_named"]

_WORDS = ("out of memory", "can't allocate memory", "not enough memory")


@contextlib.contextmanager
def lack_of_memory_named() -> Iterator[None]:
    """Raise ConfigError if memory runs out in the context, on a GPU or a CPU."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not _is_lack_of_memory(error):
            raise
        raise ConfigError(
            "out of memory: lower data.batch_size and raise train.micro_batches for the same training in less memory; "
            "or set train.checkpoint_activations=true, or use a lower data.seq_len or a smaller model"
        ) from error


def _is_lack_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in _WORDS)
