"""Describes the environment of a run: versions, machine and git commit; saved as environment.json."""

from __future__ import annotations

import datetime
import subprocess
from typing import Any

import torch

from bytemill.train.machine.facts import command_line, host, installed_version

__all__ = ["describe_environment"]

_PACKAGES = ("bytemill", "numpy", "safetensors")


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Return versions, date, command, machine and git commit as JSON data; unknown values are None."""
    here = host()
    return {
        "python": here.python,
        "packages": {"torch": str(torch.__version__), **{name: installed_version(name) for name in _PACKAGES}},
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": command_line(),
        "git_commit": _git_commit(),
        "machine": {
            "system": here.system,
            "cpu": here.cpu,
            "cores": here.cores,
            "torch_threads": torch.get_num_threads(),
            "memory_bytes": here.memory_bytes,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        },
    }


def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
