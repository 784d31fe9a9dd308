"""Describes the environment of a run: versions, machine and git commit; saved as environment.json."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from bytemill.outside_text import without_secrets
from bytemill.places import without_user

__all__ = ["describe_environment"]

_PACKAGES = ("bytemill", "numpy", "safetensors")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, machine and git commit as JSON data; unknown values are None."""
    return {
        "python": platform.python_version(),
        "packages": {"torch": str(torch.__version__), **{name: _version(name) for name in _PACKAGES}},
        "command": [without_user(without_secrets(argument)) for argument in _command()],
        "git_commit": _git_commit(),
        "machine": {
            "system": platform.platform(),
            "cpu": _cpu_model(),
            "cores": os.cpu_count(),
            "torch_threads": torch.get_num_threads(),
            "memory_bytes": _memory_bytes(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        },
    }


def _command() -> list[str]:
    """Return the program's name without its folder, and its arguments."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]] if sys.argv else []


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _cpu_model() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), None)


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
