"""Selects the device of tensors and the number format of matrix products.

bf16 is chosen only if the hardware supports it: emulated bf16 is slower and less exact than fp32.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["autocast", "multiplies_bf16", "pick_device", "product_dtype", "seed_step", "to_device", "use_tf32"]

_KINDS = ("cuda", "mps", "cpu")
_ISAS_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}
"""Values of ONEDNN_MAX_CPU_ISA with which oneDNN, torch's library for matrix products, does not use bf16 hardware."""


def pick_device(name: str = "auto", *, local_rank: int = 0) -> torch.device:
    """Return the device called `name`; for "auto" the first available of cuda, mps and cpu.

    Raises:
        ConfigError: The machine has no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(k for k in _KINDS if there[k]) if name == "auto" else name.partition(":")[0]
    if not there.get(kind, False):
        raise ConfigError(f"train.device is {name!r}, but torch finds only {[k for k in _KINDS if there[k]]}")
    if kind == "cuda" and ":" not in name:
        return torch.device("cuda", local_rank)
    return torch.device(kind if name == "auto" else name)


def multiplies_bf16(device: torch.device) -> bool:
    """Return whether the device has hardware for bf16 matrix products, and is allowed to use it.

    `ONEDNN_MAX_CPU_ISA=AVX512_CORE` in the environment turns it off, in torch and here.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    if os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _ISAS_WITHOUT_BF16:
        return False
    has: dict[str, Any] = dict(torch.cpu.get_capabilities())
    return bool(has.get("avx512_bf16") or has.get("amx_bf16") or has.get("bf16"))


def product_dtype(device: torch.device, precision: str) -> torch.dtype:
    """Return the dtype of matrix products for a value of `train.precision`.

    >>> product_dtype(torch.device("cpu"), "fp16")
    torch.float16
    """
    if precision == "auto":
        if multiplies_bf16(device):
            return torch.bfloat16
        return torch.float16 if device.type == "cuda" else torch.float32
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision, torch.float32)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Return a context in which matrix products use `precision`: fp32, tf32, bf16, fp16 or auto.

    >>> with autocast(torch.device("cpu"), "bf16"):
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.bfloat16
    """
    dtype = product_dtype(device, precision)
    return contextlib.nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype=dtype)


def use_tf32(precision: str) -> None:
    """Let CUDA round the inputs of fp32 products to TF32's 10 bits, unless `precision` is fp32."""
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")


def to_device(batch: Any, device: torch.device) -> Any:
    """Move a batch's tensors and numpy arrays to `device`; tuples, lists and dicts keep their structure."""
    if isinstance(batch, (torch.Tensor, np.ndarray)):
        return torch.as_tensor(batch).to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: to_device(value, device) for name, value in batch.items()}
    if isinstance(batch, (tuple, list)):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def seed_step(seed: int, step: int, rank: int) -> None:
    """Seed all random generators for one step of one process, from the three numbers alone.

    The random numbers of a step then do not depend on those drawn before it. So a resumed run needs no generator
    states, with any number of processes, and text sampling during training changes nothing. It costs about 20
    microseconds.
    """
    digest = hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()
    random.seed(digest)
    np.random.seed(int.from_bytes(digest[:4], "little"))  # noqa: NPY002 - tasks may use the global one
    torch.manual_seed(int.from_bytes(digest[8:15], "little"))
