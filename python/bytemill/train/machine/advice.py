"""Says what bytemill uses of a machine, and what would make it faster; based on the facts in `facts`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bytemill.extras import needing
from bytemill.system.processor import has_nvidia_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bytemill.train.machine.facts import Machine

__all__ = ["advice", "uses"]

LITTLE_DISK_BYTES = 5_000_000_000
LITTLE_MEMORY_BYTES = 4_000_000_000
_BACKENDS = {
    "avx512": "AVX-512, 64 bytes at a time",
    "avx2": "AVX2, 64 bytes at a time",
    "neon": "NEON, 64 bytes at a time",
    "scalar": "one character at a time",
}


def uses(machine: Machine) -> dict[str, str]:
    """Return what bytemill uses by default, each with the setting that changes it."""
    torch = machine.torch
    chosen = {
        "splitting text": _splitting(machine.splitting, os.environ.get("BYTEMILL_SIMD", "").lower()),
        "encoding, preparing": f"{machine.cores} thread{'' if machine.cores == 1 else 's'}, one per core (--threads)",
    }
    if torch is None:
        return chosen | {"training": "not available: torch cannot be imported"}
    device = "cuda" if torch.gpus else "mps" if torch.has_mps else "cpu"
    chosen["device of training"] = f"{device} (train.device)"
    chosen["threads of training"] = f"{torch.threads} (train.threads)"
    chosen["precision"] = f"{_precision(machine)} (train.precision)"
    return chosen | {"torch.compile": _compile(machine)}


def advice(machine: Machine) -> list[str]:
    """Return what would make training faster, or possible at all; most important first."""
    return list(_advice(machine))


def _advice(machine: Machine) -> Iterator[str]:
    torch = machine.torch
    if torch is None:
        missing = needing("training", ModuleNotFoundError(name="torch")) if "No module" in machine.torch_error else None
        yield f"Install torch; tokenizers and shards work without it: {missing or machine.torch_error}"
        return
    if not torch.gpus and not torch.has_mps:
        if torch.cuda is None and has_nvidia_driver():
            yield "There is an NVIDIA driver, but torch is built for CPUs: install torch's build for CUDA."
        else:
            yield "torch sees no GPU: train small models here, and GPT-2's sizes on a machine with a GPU."
    if not torch.has_bf16_units and not torch.gpus:
        yield "The processor has no bf16 hardware (AVX512_BF16 or AMX): matrix products use fp32."
    if machine.compiler is None and not torch.gpus:
        yield "Install a C++ compiler, such as g++: torch.compile (train.compile) needs one."
    elif not machine.has_python_headers and not torch.gpus:
        yield "Install Python's headers (python3-dev): torch.compile (train.compile) includes them."
    if torch.gpus and machine.packages.get("triton") is None:
        yield "Install triton: torch.compile (train.compile) needs it to write GPU kernels."
    if not torch.gpus and torch.threads < (machine.physical_cores or machine.cores):
        yield f"torch uses {torch.threads} of {machine.cores} cores: set OMP_NUM_THREADS or train.threads to use more."
    if "avx2" not in machine.instructions and "asimd" not in machine.instructions and machine.instructions:
        yield "The processor has no AVX2: text is split one character at a time, which is slower."
    if machine.free_memory_bytes is not None and machine.free_memory_bytes < LITTLE_MEMORY_BYTES:
        yield "Little memory is free: --max-memory limits the memory for training a vocabulary and preparing shards."
    if machine.free_disk_bytes < LITTLE_DISK_BYTES:
        yield "Little disk space is free: a checkpoint of GPT-2 124M takes 1.5 GB; train.keep_checkpoints limits them."


def _splitting(used: str | None, forced: str) -> str:
    """Return the backend's name, and how BYTEMILL_SIMD affects it.

    >>> _splitting("avx2", "avx512")
    'AVX2, 64 bytes at a time (BYTEMILL_SIMD=avx512 is ignored: this processor lacks it)'
    """
    if used is None:
        return f"none: BYTEMILL_SIMD is {forced!r}, expected {', '.join(_BACKENDS)} or nothing"
    if not forced:
        why = "BYTEMILL_SIMD selects another backend"
    elif forced == used:
        why = f"forced by BYTEMILL_SIMD={forced}"
    else:
        why = f"BYTEMILL_SIMD={forced} is ignored: this processor lacks it"
    return f"{_BACKENDS[used]} ({why})"


def _precision(machine: Machine) -> str:
    """Return the default precision, by the rule of bytemill.train.machine.device."""
    assert machine.torch is not None
    if machine.torch.has_bf16_units:
        return "bf16, supported by the hardware"
    return "fp16 with a loss scale" if machine.torch.gpus else "fp32, because there is no bf16 hardware"


def _compile(machine: Machine) -> str:
    return "available (train.compile=true), off by default" if machine.can_compile else "not available: cannot build"
