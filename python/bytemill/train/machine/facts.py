"""Collects facts about this machine: processor, memory, disk, GPUs, torch, and what torch.compile needs.

A fact that cannot be found is None or empty, so that this works on every machine, even on a broken one.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bytemill._core import splitting_backend
from bytemill.errors import ArgumentError
from bytemill.outside_text import without_secrets
from bytemill.places import relative_path, without_user
from bytemill.system import memory, processor

__all__ = ["Gpu", "Host", "Machine", "Torch", "command_line", "examine", "host", "installed_version"]

_COMPILERS = ("c++", "g++", "clang++", "cl")
OPTIONAL_PACKAGES = ("transformers", "datasets", "tiktoken", "tokenizers", "peft", "triton")


@dataclass(frozen=True)
class Gpu:
    """A device that torch sees."""

    name: str
    memory_bytes: int
    has_bf16: bool


@dataclass(frozen=True)
class Torch:
    """The installed build of torch."""

    version: str
    cuda: str | None
    """CUDA version that torch was built for; None for a CPU build."""
    threads: int
    gpus: tuple[Gpu, ...]
    has_mps: bool
    has_bf16_units: bool
    """Whether the default device has hardware for bf16 matrix products."""


@dataclass(frozen=True)
class Host:
    """Facts that need neither torch nor another program."""

    system: str
    python: str
    cpu: str | None
    cores: int
    """Logical cores that this process may use."""
    memory_bytes: int | None
    """All memory, or the limit of the container."""


@dataclass(frozen=True)
class Machine(Host):
    """All facts about this machine."""

    physical_cores: int | None
    instructions: tuple[str, ...]
    splitting: str | None
    """The backend that splits text in this process: avx512, avx2, neon or scalar; None if BYTEMILL_SIMD names none."""
    free_memory_bytes: int | None
    free_disk_bytes: int
    """On the disk of the current folder."""
    torch: Torch | None
    """None if torch cannot be imported."""
    torch_error: str
    compiler: str | None
    """C++ compiler that torch.compile would use on a CPU."""
    has_python_headers: bool
    packages: dict[str, str | None]
    """Versions of optional packages; None if not installed."""

    @property
    def can_compile(self) -> bool:
        """Whether torch.compile has what it needs: triton for a GPU, a C++ compiler and headers for a CPU."""
        if self.torch is not None and self.torch.gpus:
            return self.packages.get("triton") is not None
        return self.compiler is not None and self.has_python_headers

    def as_dict(self) -> dict[str, Any]:
        """Return all facts as JSON data."""
        return asdict(self)


def host() -> Host:
    """Return the facts that need neither torch nor another program."""
    limit, _ = memory.container_memory()
    return Host(
        system=platform.platform(),
        python=platform.python_version(),
        cpu=processor.cpu_name(),
        cores=processor.usable_cores(),
        memory_bytes=_least(memory.total_memory(), limit),
    )


def examine() -> Machine:
    """Look at everything; imports torch, which takes seconds."""
    torch, error = _torch()
    limit, used = memory.container_memory()
    return Machine(
        **asdict(host()),
        physical_cores=processor.physical_cores(),
        instructions=processor.instructions(),
        splitting=_splitting(),
        free_memory_bytes=_least(memory.free_memory(), None if limit is None else limit - used),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        torch=torch,
        torch_error=error,
        compiler=_compiler(),
        has_python_headers=(Path(sysconfig.get_path("include")) / "Python.h").exists(),
        packages={name: installed_version(name) for name in OPTIONAL_PACKAGES},
    )


def command_line() -> list[str]:
    """Return this process's command without secrets: the program's name, and arguments whose paths are relative.

    A path is shown from the home folder as `~/…`, else from the current folder. In a notebook the result is empty: the
    command of its kernel says nothing about the run.
    """
    program = Path(sys.argv[0] if sys.argv else "")
    if not program.name or program.name.endswith("kernel_launcher.py"):  # ipykernel's, Colab's
        return []
    name = program.parent.name if program.name == "__main__.py" else program.name
    return [name, *(without_user(relative_path(without_secrets(argument))) for argument in sys.argv[1:])]


def installed_version(package: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    if importlib.util.find_spec(package) is None:
        return None
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _least(*numbers: int | None) -> int | None:
    return min((number for number in numbers if number is not None), default=None)


def _torch() -> tuple[Torch | None, str]:
    try:
        import torch

        from bytemill.train.machine.device import multiplies_bf16, pick_device
    except (ImportError, OSError) as error:  # OSError: one of its libraries is missing
        return None, f"{type(error).__name__}: {error}"
    properties = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    has_bf16 = bool(properties) and torch.cuda.is_bf16_supported(including_emulation=False)
    gpus = tuple(Gpu(one.name, one.total_memory, has_bf16) for one in properties)
    found = Torch(
        version=str(torch.__version__),
        cuda=torch.version.cuda,
        threads=torch.get_num_threads(),
        gpus=gpus,
        has_mps=torch.backends.mps.is_available(),
        has_bf16_units=multiplies_bf16(pick_device()),
    )
    return found, ""


def _splitting() -> str | None:
    try:
        return splitting_backend()
    except ArgumentError:
        return None


def _compiler() -> str | None:
    """Return the first line of `--version` of the C++ compiler that torch would find."""
    for name in filter(None, (os.environ.get("CXX"), *_COMPILERS)):
        if not shutil.which(name):
            continue
        try:
            output = subprocess.run(
                [name, "--version"], capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=False
            ).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        return output.splitlines()[0] if output else name
    return None
