"""Read JSON from files and servers, with limits on size and depth and a one-sentence error.

Python's own reader makes one call per level, so a file of brackets causes a RecursionError, or a crash if the stack is
small. The depth is therefore counted before parsing. A text with at most `MAX_DEPTH` opening brackets cannot be deeper,
so most lines of JSON cost only two counts.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from typing import TYPE_CHECKING, Any

from bytemill.errors import BytemillError, FormatError
from bytemill.outside_text import one_line
from bytemill.system.files import open_descriptor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "MAX_DEPTH",
    "MAX_ROWS_BYTES",
    "MAX_VALUE_BYTES",
    "parse_json",
    "parse_object",
    "read_json",
    "read_lines",
    "read_object",
    "read_regular_file",
]

MAX_DEPTH = 100
"""Maximum nesting depth of lists and objects; the core's readers allow 127."""
MAX_VALUE_BYTES = 64 << 20
"""Maximum bytes of a file that holds one value, such as a config.json."""
MAX_ROWS_BYTES = 2 << 30
"""Maximum bytes of a file of rows that is read whole, such as a metrics.jsonl or a file of answers."""

_STRING_OR_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{\]}]', re.DOTALL)


def parse_json(text: str | bytes, source: object, *, error: type[BytemillError] = FormatError) -> Any:
    """Parse one JSON value.

    Args:
        text: JSON; bytes must be UTF-8, and a byte order mark is skipped.
        source: Where the text comes from, for the error: a path, a path and a line, or an address.
        error: The exception to raise.

    Raises:
        FormatError: Or `error`: the text is not JSON in UTF-8, or is nested deeper than `MAX_DEPTH`.

    >>> parse_json('{"a": [1, 2]}', "reply")
    {'a': [1, 2]}
    """
    try:
        decoded = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError as fault:
        raise error(f"{source}: not JSON in UTF-8: byte {fault.object[fault.start]:#04x} at {fault.start:,}") from None
    if _too_deep(decoded):
        raise error(f"{source}: its JSON is nested more than {MAX_DEPTH} levels deep")
    try:
        return json.loads(decoded)
    except (json.JSONDecodeError, RecursionError) as fault:
        raise error(f"{source}: not JSON in UTF-8: {one_line(str(fault))}") from None
    except ValueError:  # too many digits: reading an integer takes time that grows with the square of its length
        limit = sys.get_int_max_str_digits()
        found = re.search(rf"\d{{{limit + 1},}}", decoded)
        place = f"line {decoded.count(chr(10), 0, found.start()) + 1} of " if found else ""
        raise error(f"{source}: {place}its JSON has an integer of more than {limit:,} digits") from None


def parse_object(text: str | bytes, source: object, *, error: type[BytemillError] = FormatError) -> dict[str, Any]:
    """Parse a JSON object as `parse_json` does; any other value raises `error`."""
    value = parse_json(text, source, error=error)
    if not isinstance(value, dict):
        raise error(f"{source}: holds a JSON {_KINDS[type(value)]}, expected an object")
    return value


def read_json(path: str | Path, *, max_bytes: int = MAX_VALUE_BYTES, error: type[BytemillError] = FormatError) -> Any:
    """Read a file that holds one JSON value; see `parse_json`.

    Raises:
        OSError: The file is missing or cannot be read.
        FormatError: Or `error`: the file is not a regular file, is larger than `max_bytes`, or is not JSON.
    """
    return parse_json(read_regular_file(path, max_bytes=max_bytes, error=error), path, error=error)


def read_object(path: str | Path, *, error: type[BytemillError] = FormatError) -> dict[str, Any]:
    """Read a JSON object as `read_json` does; any other value raises `error`."""
    return parse_object(read_regular_file(path, error=error), path, error=error)


def read_lines(path: str | Path, *, error: type[BytemillError] = FormatError) -> Iterator[tuple[int, bytes]]:
    """Yield the number and bytes of each complete line; a last line without a newline is skipped.

    Raises:
        OSError: The file is missing or cannot be read.
        FormatError: Or `error`: the file is not a regular file, or is larger than `MAX_ROWS_BYTES`.
    """
    yield from enumerate(read_regular_file(path, max_bytes=MAX_ROWS_BYTES, error=error).split(b"\n")[:-1], start=1)


def read_regular_file(
    path: str | Path, *, max_bytes: int = MAX_VALUE_BYTES, error: type[BytemillError] = FormatError
) -> bytes:
    """Read a whole regular file; a pipe, which may never end, and a device are refused before reading.

    Raises:
        OSError: The file is missing or cannot be read.
        FormatError: Or `error`: the file is not a regular file, or is larger than `max_bytes`.
    """
    opened = open_descriptor(path, os.O_RDONLY, links=True)
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode):
        os.close(opened)
        raise error(f"{path}: a folder, pipe or device, expected a regular file; save its content to a file")
    with os.fdopen(opened, "rb") as file:
        if status.st_size <= max_bytes:
            return file.read(status.st_size)
    raise error(f"{path}: larger than {max_bytes:,} bytes, the maximum for such a file")


def _too_deep(text: str) -> bool:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        first = found[0][0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in "]}":
            depth -= 1
    return False


_KINDS: dict[type, str] = {
    list: "list", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"
}  # fmt: skip
