"""What the commands say to people: on stderr, so that stdout stays for results."""

import os
import sys
from pathlib import Path

from bytemill.errors import ArgumentError

__all__ = ["is_first_process", "read_text", "say"]


def is_first_process() -> bool:
    """Whether this one of torchrun's processes speaks for all; one alone does."""
    return os.environ.get("RANK", "0") == "0"


def say(message: str = "") -> None:
    """Print one line for a person to read."""
    if is_first_process():
        print(message, file=sys.stderr, flush=True)


def read_text(path: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`."""
    if str(path) != "-":
        return path.read_bytes()
    if sys.stdin is None:
        raise ArgumentError("stdin is closed: name a file, or give something to read there")
    return sys.stdin.buffer.read()
