"""Read rows in JSON: a list of objects, an object with such a list, or one object per line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bytemill.data.rows.file_text import read_text
from bytemill.errors import DataError
from bytemill.json_reader import parse_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["json_lines", "json_value"]

_NOT_BLANK = re.compile(r"\S")


def json_value(path: Path, _: Sequence[str], __: list[str]) -> Any:
    """Return the rows of a .json: a list, the list in an object such as {"data": […]}, or one object per line."""
    text = read_text(path)
    if text.lstrip()[:1] == "{" and _first_line_is_an_object(text):
        return _lines(text, path)
    value = parse_json(text, path, error=DataError)
    return _list_in(value, path) if isinstance(value, dict) else value


def json_lines(path: Path, _: Sequence[str], __: list[str]) -> Any:
    """Return the rows of a .jsonl or .ndjson: one object per line; a list of objects is accepted too."""
    text = read_text(path)
    if text.lstrip()[:1] == "[":
        return parse_json(text, path, error=DataError)
    return _lines(text, path)


def _lines(text: str, path: Path) -> list[Any]:
    lines = enumerate(text.split("\n"), 1)
    return [parse_json(line, f"{path}:{number}", error=DataError) for number, line in lines if line.strip()]


def _first_line_is_an_object(text: str) -> bool:
    """Return whether the first line is complete JSON and another line follows."""
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    if end < 0 or not _NOT_BLANK.search(text, end):
        return False
    try:
        parse_json(text[start:end], "", error=DataError)
    except DataError:
        return False
    return True


def _list_in(value: dict[str, Any], path: Path) -> list[Any]:
    lists = [name for name, one in value.items() if isinstance(one, list) and one and isinstance(one[0], dict)]
    if len(lists) != 1 and "data" not in lists:
        held = f"one with lists of rows under {', '.join(map(repr, lists))}" if lists else "one without rows"
        raise DataError(
            f"{path}: expected a list of objects, one per row, or an object that holds such a list, as "
            f'{{"data": […]}}; this is {held}'
        )
    rows: list[Any] = value["data" if "data" in lists else lists[0]]
    return rows
