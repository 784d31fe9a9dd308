"""Memory of the machine, of its container and of this process, in bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bytemill.system.proc import field_of

if sys.platform == "win32":
    from bytemill.system import windows_memory
else:
    import resource

__all__ = ["container_memory", "free_memory", "peak_resident_memory", "total_memory"]

_CONTROL_GROUP = Path("/sys/fs/cgroup")
_MEMORY_FACTS = Path("/proc/meminfo")
_OWN_FACTS = Path("/proc/self/status")


def total_memory() -> int | None:
    """Return the machine's memory, without regard to a container; None if the system does not tell."""
    if sys.platform == "win32":
        return windows_memory.machine().total
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def free_memory() -> int | None:
    """Return the memory that programs can still get on this machine; None if the system does not tell, as macOS."""
    if sys.platform == "win32":
        return windows_memory.machine().available
    return _kibibytes(_MEMORY_FACTS, "MemAvailable")


def peak_resident_memory() -> int | None:
    """Return the most memory that this process has had in use; on Linux without that of its parent process."""
    if sys.platform == "win32":
        return windows_memory.peak_working_set()
    # Linux's ru_maxrss of a started process includes memory of the parent process.
    own = _kibibytes(_OWN_FACTS, "VmHWM")
    if own is not None:
        return own
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def container_memory(control_group: Path = _CONTROL_GROUP) -> tuple[int | None, int]:
    """Return the memory limit of a container (None if unlimited) and its use; from Linux cgroups v2."""
    try:
        limit = (control_group / "memory.max").read_text(encoding="ascii").strip()
        used = int((control_group / "memory.current").read_text(encoding="ascii"))
        return (None if limit == "max" else int(limit)), used
    except (OSError, ValueError):
        return None, 0


def _kibibytes(path: Path, field: str) -> int | None:
    """Return a field given in KiB, in bytes."""
    value = field_of(path, field)
    return int(value.split()[0]) * 1024 if value else None
