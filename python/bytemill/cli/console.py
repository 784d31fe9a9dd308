"""Console output and input: messages on stderr, JSON for programs, and text from stdin."""

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from bytemill.errors import ArgumentError, DataError
from bytemill.json_reader import read_regular_file
from bytemill.outside_text import for_people, printable
from bytemill.progress import PhaseProgress, watched
from bytemill.train.run.metrics import as_json_data

__all__ = ["TerminalText", "is_first_process", "json_text", "measuring", "open_stdin", "put", "read_text", "say"]

MAX_TEXT_BYTES = 2 << 30
"""Maximum bytes of a text that a command reads whole."""

_NOT_COLOURS = re.compile(r"\x1b(?!\[[0-9;]*m)|[^\x1b]+")


def is_first_process() -> bool:
    """Return whether this process prints messages: the first process of torchrun, or a single process."""
    return os.environ.get("RANK", "0") == "0"


def say(message: str = "") -> None:
    """Print one message line to stderr."""
    if is_first_process():
        print(for_people(message), file=sys.stderr, flush=True)


@contextmanager
def measuring(what: str, *, unit: str = "batches") -> Iterator[None]:
    """Show a bar on stderr for the measurement in this context, if stderr is a terminal."""
    with (
        PhaseProgress({what: unit}, shown=is_first_process()) as bar,
        watched(lambda _, done, total: bar.update(what, done, total)),
    ):
        yield


def put(text: str, *, end: str = "\n") -> None:
    """Print a result with outside text; control characters are escaped if stdout is a terminal."""
    print(printable(text) if sys.stdout.isatty() else text, end=end, flush=True)


class TerminalText:
    """A wrapper of stdout for terminals: it escapes all control characters except colours.

    `put` escapes colours too; this class is for all other output.
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
    """Return the value as JSON; NaN and infinite losses, which JSON does not have, become null.

    >>> json_text({"loss": float("nan"), "n_rows": 4})
    '{"loss": null, "n_rows": 4}'
    """
    return json.dumps(as_json_data(value), ensure_ascii=False, indent=indent, allow_nan=False)


def open_stdin() -> TextIO:
    """Return stdin; raise ArgumentError if it is closed (Python then has None in its place)."""
    if sys.stdin is None:
        raise ArgumentError("stdin is closed, expected input")
    return sys.stdin


def read_text(path: Path) -> bytes:
    """Return the bytes of a file, or of stdin for `-`."""
    if str(path) != "-":
        return read_regular_file(path, max_bytes=MAX_TEXT_BYTES, error=DataError)
    content = open_stdin().buffer.read(MAX_TEXT_BYTES + 1)
    if len(content) > MAX_TEXT_BYTES:
        raise DataError(
            f"stdin: more than {MAX_TEXT_BYTES:,} bytes, the maximum for a text read from there; give a file instead"
        )
    return content
