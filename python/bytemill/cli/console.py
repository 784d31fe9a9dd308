"""What the commands say, to people on stderr and to programs as JSON, and what they read from stdin."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from bytemill.errors import ArgumentError
from bytemill.train.metrics import as_json_data

__all__ = ["is_first_process", "json_text", "read_text", "say"]


def is_first_process() -> bool:
    """Whether this one of torchrun's processes speaks for all; one alone does."""
    return os.environ.get("RANK", "0") == "0"


def say(message: str = "") -> None:
    """Print one line for a person to read."""
    if is_first_process():
        print(message, file=sys.stderr, flush=True)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON for a program to read; a loss that is NaN or infinite, which JSON cannot spell, is null.

    >>> json_text({"loss": float("nan"), "n_rows": 4})
    '{"loss": null, "n_rows": 4}'
    """
    return json.dumps(as_json_data(value), ensure_ascii=False, indent=indent, allow_nan=False)


def read_text(path: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`."""
    if str(path) != "-":
        return path.read_bytes()
    if sys.stdin is None:
        raise ArgumentError("stdin is closed: name a file, or give something to read there")
    return sys.stdin.buffer.read()
