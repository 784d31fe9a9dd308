"""Saves the results of long work one by one, so that interrupted work can continue.

The journal is a file of JSON lines. The first line describes the work, and each other line is one result with its
`index`. A journal of other work is refused. A last line that a kill truncated is dropped, and its work is repeated.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError, FormatError
from bytemill.files import LineFile
from bytemill.json_reader import parse_object, read_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["LONE_SURROGATES", "Journal"]

LONE_SURROGATES = "backslashreplace"
"""Encoding error handler for JSON with lone surrogates, which UTF-8 cannot encode: writes them as JSON escapes."""


class Journal:
    """Results by index; each is written to disk as soon as it is added.

    Args:
        path: The file; it and its folder are created if missing.
        header: JSON data that describes the work; a file with another header is refused.

    Raises:
        ConfigError: The file is of other work; the error names the first difference.
        FormatError: A line has another form; the error names it.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.results: dict[int, dict[str, Any]] = {}
        """Finished results by index."""
        own = json.loads(json.dumps(dict(header)))
        lines = _whole_lines(path)
        if len(lines) > 1:  # a file without results is of work that failed at its start; it is written again
            self._refuse_other(lines[0], own)
            self.results = {line["index"]: line for line in lines[1:]}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = LineFile(path, "".join(map(_spelled, [own, *self.results.values()])), errors=LONE_SURROGATES)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def add(self, index: int, result: Mapping[str, Any]) -> None:
        """Save one result."""
        self.results[index] = {"index": index, **result}
        self._lines.append(_spelled(self.results[index]))

    def _refuse_other(self, found: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        for name in dict.fromkeys([*own, *found]):
            if found.get(name) != own.get(name):
                was, now = (json.dumps(one.get(name), ensure_ascii=False)[:80] for one in (found, own))
                change = f"{name} was {was}, and is {now} now"
                raise ConfigError(f"{self.path}: contains the results of another task: {change}; move the file away")


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for number, text in read_lines(path):
        line = parse_object(text, f"{path}, line {number}")
        if number > 1 and not isinstance(line.get("index"), int):
            raise FormatError(f"{path}, line {number}: expected a JSON object with an index")
        lines.append(line)
    return lines


def _spelled(line: Mapping[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"
