"""Long work that is written down piece by piece, so that it goes on where it was cut off.

A file of JSON lines: the first says what the work is, each other one is the result of one piece, with its
`index`. Work of another kind is refused, not mixed in; a last line that a kill cut short is done again.
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
"""How to write JSON of texts with half a surrogate pair, which UTF-8 cannot spell: as JSON's own escape."""


class Journal:
    """Results by index, on disk as soon as they are known.

    Args:
        path: The file; made when missing, with its folder.
        header: JSON data that says what the work is; a file that begins with another is refused.

    Raises:
        ConfigError: The file holds other work; names the first thing that differs.
        FormatError: A line is not what it should be; names it.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.results: dict[int, dict[str, Any]] = {}
        """What is done, by index."""
        own = json.loads(json.dumps(dict(header)))
        lines = _whole_lines(path)
        if lines:
            self._refuse_other(lines[0], own)
            self.results = {line["index"]: line for line in lines[1:]}
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = LineFile(path, "".join(map(_spelled, [own, *self.results.values()])), errors=LONE_SURROGATES)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()

    def add(self, index: int, result: Mapping[str, Any]) -> None:
        """Note the result of one piece."""
        self.results[index] = {"index": index, **result}
        self._lines.append(_spelled(self.results[index]))

    def _refuse_other(self, found: Mapping[str, Any], own: Mapping[str, Any]) -> None:
        for name in dict.fromkeys([*own, *found]):
            if found.get(name) != own.get(name):
                was, now = (json.dumps(one.get(name), ensure_ascii=False)[:80] for one in (found, own))
                change = f"{name} was {was} there, and is {now} now"
                raise ConfigError(f"{self.path}: holds the results of another task: {change}; move it away")


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
