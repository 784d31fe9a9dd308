"""What the commands say, to people on stderr and to programs as JSON, and what they read from stdin."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, TextIO

from bytemill.errors import ArgumentError, DataError
from bytemill.json_reader import read_regular_file
from bytemill.outside_text import for_people, printable
from bytemill.train.run.metrics import as_json_data

__all__ = ["TerminalText", "is_first_process", "json_text", "open_stdin", "put", "read_text", "say"]

MAX_TEXT_BYTES = 2 << 30
"""Bytes of a text that a command reads whole."""

_NOT_COLOURS = re.compile(r"\x1b(?!\[[0-9;]*m)|[^\x1b]+")


def is_first_process() -> bool:
    """Whether this one of torchrun's processes speaks for all; one alone does."""
    return os.environ.get("RANK", "0") == "0"


def say(message: str = "") -> None:
    """Print one line for a person to read."""
    if is_first_process():
        print(for_people(message), file=sys.stderr, flush=True)


def put(text: str, *, end: str = "\n") -> None:
    """Print a result that holds text from outside: as it is, and on a terminal with control characters escaped."""
    print(printable(text) if sys.stdout.isatty() else text, end=end, flush=True)


class TerminalText:
    """Stdout where it is a terminal: whatever is written, no control character but those of colours gets through.

    `put` escapes colours too; this is for all that is printed in another way.
    """

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def write(self, text: str) -> int:
        """Write the text with control characters escaped."""
        self._terminal.write(_NOT_COLOURS.sub(lambda found: printable(found[0]), text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._terminal, name)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON for a program to read; a loss that is NaN or infinite, which JSON cannot spell, is null.

    >>> json_text({"loss": float("nan"), "n_rows": 4})
    '{"loss": null, "n_rows": 4}'
    """
    return json.dumps(as_json_data(value), ensure_ascii=False, indent=indent, allow_nan=False)


def open_stdin() -> TextIO:
    """What a command reads from; where it is closed, Python has None in its place, and `ArgumentError` says so."""
    if sys.stdin is None:
        raise ArgumentError("stdin is closed, expected input")
    return sys.stdin


def read_text(path: Path) -> bytes:
    """The bytes of a file, or of stdin for `-`."""
    if str(path) != "-":
        return read_regular_file(path, max_bytes=MAX_TEXT_BYTES, error=DataError)
    content = open_stdin().buffer.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise DataError(
            f"stdin: more than {MAX_TEXT_BYTES:,} bytes, the maximum for a text read from there; give a file instead"
        )
    return content
