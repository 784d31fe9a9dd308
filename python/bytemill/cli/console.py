"""What the commands say to people: on stderr, so that stdout stays for results."""

import sys
from pathlib import Path

__all__ = ["read_text", "say"]


def say(message: str = "") -> None:
    """Print one line for a person to read."""
    print(message, file=sys.stderr, flush=True)


def read_text(path: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`."""
    return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
