"""Windows's calls for memory: of the machine and of this process."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

__all__ = ["MachineMemory", "machine", "peak_working_set"]


class _MemoryStatus(ctypes.Structure):
    """MEMORYSTATUSEX of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("load_percent", ctypes.c_uint32),
        ("total", ctypes.c_uint64),
        ("available", ctypes.c_uint64),
        ("total_page_file", ctypes.c_uint64),
        ("available_page_file", ctypes.c_uint64),
        ("total_virtual", ctypes.c_uint64),
        ("available_virtual", ctypes.c_uint64),
        ("available_extended_virtual", ctypes.c_uint64),
    )


class _ProcessMemory(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of the Windows API."""

    _fields_ = (
        ("length", ctypes.c_uint32),
        ("page_faults", ctypes.c_uint32),
        ("peak_working_set", ctypes.c_size_t),
        ("working_set", ctypes.c_size_t),
        ("peak_paged_pool", ctypes.c_size_t),
        ("paged_pool", ctypes.c_size_t),
        ("peak_nonpaged_pool", ctypes.c_size_t),
        ("nonpaged_pool", ctypes.c_size_t),
        ("page_file", ctypes.c_size_t),
        ("peak_page_file", ctypes.c_size_t),
    )


@dataclass(frozen=True)
class MachineMemory:
    """Physical memory in bytes; None if Windows refuses to tell."""

    total: int | None
    available: int | None


def machine() -> MachineMemory:
    """Return the machine's memory."""
    status = _MemoryStatus()
    status.length = ctypes.sizeof(status)
    if not _kernel32().GlobalMemoryStatusEx(ctypes.byref(status)):
        return MachineMemory(None, None)
    return MachineMemory(status.total, status.available)


def peak_working_set() -> int | None:
    """Return the most physical memory that this process has had, in bytes; None if Windows refuses to tell."""
    counters = _ProcessMemory()
    counters.length = ctypes.sizeof(counters)
    kernel32 = _kernel32()
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    kernel32.K32GetProcessMemoryInfo.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32]
    this_process = kernel32.GetCurrentProcess()
    if not kernel32.K32GetProcessMemoryInfo(this_process, ctypes.byref(counters), counters.length):
        return None
    return int(counters.peak_working_set)


def _kernel32() -> Any:
    return ctypes.WinDLL("kernel32")  # type: ignore[attr-defined]  # only Windows has it
