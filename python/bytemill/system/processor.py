"""Facts about the processor and its graphics card."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

from bytemill.system.proc import field_of

__all__ = ["cpu_name", "has_nvidia_driver", "has_spinning_threads", "instructions", "physical_cores", "usable_cores"]

# Names as in Linux's /proc/cpuinfo; the last three are of ARM processors.
_INSTRUCTIONS = ("avx2", "avx512f", "avx512_vbmi2", "avx512_bf16", "amx_tile", "amx_bf16", "asimd", "sve", "bf16")
_CPU_FACTS = Path("/proc/cpuinfo")
_CPU_FOLDERS = Path("/sys/devices/system/cpu")
_NVIDIA_DRIVER = Path("/proc/driver/nvidia/version")


def cpu_name() -> str | None:
    """Return the processor's name."""
    return field_of(_CPU_FACTS, "model name") or platform.processor() or None


def usable_cores() -> int:
    """Return the number of logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_cores() -> int | None:
    """Return the number of physical cores, from Linux's lists of sibling threads; None elsewhere."""
    files = _CPU_FOLDERS.glob("cpu[0-9]*/topology/thread_siblings_list")
    try:
        return len({file.read_text(encoding="ascii").strip() for file in files}) or None
    except OSError:
        return None


def instructions() -> tuple[str, ...]:
    """Return the instruction sets that matter for training and splitting; empty if the system does not tell."""
    flags = set((field_of(_CPU_FACTS, "flags") or field_of(_CPU_FACTS, "Features") or "").split())
    return tuple(name for name in _INSTRUCTIONS if name in flags)


def has_nvidia_driver() -> bool:
    """Return whether there is a driver for NVIDIA's graphics cards; only Linux shows it."""
    return _NVIDIA_DRIVER.exists()


def has_spinning_threads() -> bool:
    """Return whether torch's threads spin while they wait: those of libgomp do, which torch has on Linux."""
    return sys.platform == "linux"
