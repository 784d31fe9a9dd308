"""What the commands say to people: on stderr, so that stdout stays for results."""

import sys
from pathlib import Path

from bytemill.errors import ArgumentError

__all__ = ["read_text", "say"]


def say(message: str = "") -> None:
    """Print one line for a person to read."""
    print(message, file=sys.stderr, flush=True)


def read_text(path: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`."""
    if str(path) != "-":
        return path.read_bytes()
    if sys.stdin is None:
        raise ArgumentError("stdin is closed: name a file, or give something to read there")
    return sys.stdin.buffer.read()
