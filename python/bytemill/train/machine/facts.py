"""What this machine has: processor, memory, disk, GPUs, torch and what torch.compile needs; facts, no judgement.

Whatever cannot be found out is None or left empty: this must end well on every machine, above all on a broken one.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sysconfig
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bytemill._core import splitting_backend
from bytemill.errors import ArgumentError

__all__ = ["Gpu", "Host", "Machine", "Torch", "container_memory", "examine", "host", "installed_version"]

# As Linux spells them; of the ARM processors' one suffices.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vbmi2", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
_CONTROL_GROUP = Path("/sys/fs/cgroup")
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
    """The build that is installed."""

    version: str
    cuda: str | None
    """The CUDA it was built for; None is a build for CPUs."""
    threads: int
    gpus: tuple[Gpu, ...]
    has_mps: bool
    has_bf16_units: bool
    """Whether the device that would be chosen multiplies bf16 in hardware."""


@dataclass(frozen=True)
class Host:
    """What is read at once, without torch and without starting another program."""

    system: str
    python: str
    cpu: str | None
    cores: int
    """Logical ones that this process may use."""
    memory_bytes: int | None
    """All of it, or what the container may have."""


@dataclass(frozen=True)
class Machine(Host):
    """Everything that was found."""

    physical_cores: int | None
    instructions: tuple[str, ...]
    splitting: str | None
    """The backend that splits text in this process: avx512, avx2, neon or scalar; None if BYTEMILL_SIMD names none."""
    free_memory_bytes: int | None
    free_disk_bytes: int
    """In the present folder."""
    torch: Torch | None
    """None where torch cannot be imported."""
    torch_error: str
    compiler: str | None
    """What torch.compile would build with on a CPU."""
    has_python_headers: bool
    packages: dict[str, str | None]
    """Versions of optional packages; None is not installed."""

    @property
    def can_compile(self) -> bool:
        """Whether there is what torch.compile builds with: triton for a GPU, a C++ compiler and headers for a CPU."""
        if self.torch is not None and self.torch.gpus:
            return self.packages.get("triton") is not None
        return self.compiler is not None and self.has_python_headers

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def host() -> Host:
    """Return what can be read at once."""
    limit, _ = container_memory(_CONTROL_GROUP)
    return Host(
        system=platform.platform(),
        python=platform.python_version(),
        cpu=_cpuinfo("model name") or platform.processor() or None,
        cores=_usable_cores(),
        memory_bytes=_least(_memory(), limit),
    )


def examine() -> Machine:
    """Look at everything; imports torch, which takes seconds."""
    torch, error = _torch()
    limit, used = container_memory(_CONTROL_GROUP)
    return Machine(
        **asdict(host()),
        physical_cores=_physical_cores(),
        instructions=_instructions(),
        splitting=_splitting(),
        free_memory_bytes=_least(_meminfo("MemAvailable"), None if limit is None else limit - used),
        free_disk_bytes=shutil.disk_usage(Path.cwd()).free,
        torch=torch,
        torch_error=error,
        compiler=_compiler(),
        has_python_headers=(Path(sysconfig.get_path("include")) / "Python.h").exists(),
        packages={name: installed_version(name) for name in OPTIONAL_PACKAGES},
    )


def container_memory(cgroup: Path) -> tuple[int | None, int]:
    """Bytes that a container may have (None: no limit), and bytes it has; of Linux's control groups, version 2."""
    try:
        limit = (cgroup / "memory.max").read_text(encoding="ascii").strip()
        used = int((cgroup / "memory.current").read_text(encoding="ascii"))
        return (None if limit == "max" else int(limit)), used
    except (OSError, ValueError):
        return None, 0


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
    except (ImportError, OSError) as error:  # OSError: a library of it is missing
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


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _physical_cores() -> int | None:
    """Cores that share no execution units, from Linux's list of siblings."""
    files = Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    try:
        return len({file.read_text(encoding="ascii").strip() for file in files}) or None
    except OSError:
        return None


def _instructions() -> tuple[str, ...]:
    flags = set((_cpuinfo("flags") or _cpuinfo("Features") or "").split())
    return tuple(name for name in _INSTRUCTIONS if name in flags)


def _splitting() -> str | None:
    try:
        return splitting_backend()
    except ArgumentError:
        return None


def _memory() -> int | None:
    """In bytes; POSIX knows it without /proc too."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _cpuinfo(field: str) -> str | None:
    return _field(Path("/proc/cpuinfo"), field)


def _meminfo(field: str) -> int | None:
    """In bytes."""
    value = _field(Path("/proc/meminfo"), field)
    return int(value.split()[0]) * 1024 if value else None


def _field(path: Path, field: str) -> str | None:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in found if name.strip() == field), None)


def _compiler() -> str | None:
    """The C++ compiler that torch would find, with its version."""
    for name in filter(None, (os.environ.get("CXX"), *_COMPILERS)):
        if not shutil.which(name):
            continue
        try:
            told = subprocess.run([name, "--version"], capture_output=True, text=True, timeout=10, check=False).stdout
        except (OSError, subprocess.SubprocessError):
            continue
        return told.splitlines()[0] if told else name
    return None
