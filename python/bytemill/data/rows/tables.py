"""Read tables of rows: comma-separated and tab-separated values, and lines of label, tab and text.

Quotes follow the rules of CSV (RFC 4180) in tab-separated tables too, as pandas and Excel write them. In a
tab-separated file that does not follow these rules, quotes are ordinary text.
"""

from __future__ import annotations

import csv
import io
import re
import sys
from typing import TYPE_CHECKING

from bytemill.data.rows.file_text import read_text
from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    _Records = list[tuple[int, list[str]]]
    """The fields of each record, with the number of its first line."""

__all__ = ["LABELLED_COLUMNS", "comma_table", "labelled_lines", "tab_table"]

LABELLED_COLUMNS = ("label", "text")
_KNOWN_COLUMNS = ("instruction", "output", *LABELLED_COLUMNS)
"""One of these names in the first line of a .tsv makes it a header, if no column is requested."""
_SEPARATORS = ",;\t"
_EXCELS_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)
_MAX_HEADER_CHARACTERS = 1 << 16

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than csv's default of 128 KiB


def comma_table(path: Path, columns: Sequence[str], _: list[str]) -> list[dict[str, str]]:
    """Return the rows of a .csv; the separator is a comma, semicolon or tab, or that of Excel's line `sep=`."""
    text = read_text(path)
    given = _EXCELS_SEPARATOR.match(text)
    text = text[given.end() :] if given else text
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=given[1] if given else _separator(text, columns), strict=True
    )
    records: _Records = []
    line, n_before = 1, 1 if given else 0
    try:
        for fields in reader:
            if fields:
                records.append((line + n_before, fields))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num + n_before}: not a table in CSV: {error}") from None
    return _rows(path, records, columns)


def tab_table(path: Path, columns: Sequence[str], notes: list[str]) -> list[dict[str, str]]:
    """Return the rows of a .tsv with names in its first line, or of one without names: labels and texts."""
    text = read_text(path)
    names = _header(text, "\t")
    has_names = len(names) != 2 or bool(set(columns or _KNOWN_COLUMNS) & set(names))
    if has_names or not set(columns) <= set(LABELLED_COLUMNS):
        return _rows(path, _tab_records(text, lambda fields: len(fields) == len(names)), columns)
    return _labelled(path, _tab_records(text, lambda fields: len(fields) > 1), notes)


def labelled_lines(path: Path, columns: Sequence[str], notes: list[str]) -> list[dict[str, str]]:
    """Return label and text of each line; any other text is one row if only a text is requested."""
    text = read_text(path)
    records = _lines(text)
    if list(columns) == ["text"] and any(len(fields) == 1 for _, fields in records):
        return [{"text": text}]
    return _labelled(path, records, notes)


def _separator(text: str, columns: Sequence[str]) -> str:
    """Return the first separator that gives the header all columns, or else the most columns."""
    headers = {separator: _header(text, separator) for separator in _SEPARATORS}
    fitting = [separator for separator, names in headers.items() if columns and set(columns) <= set(names)]
    return fitting[0] if fitting else max(headers, key=lambda separator: len(headers[separator]))


def _header(text: str, separator: str) -> list[str]:
    """Return the fields of the first line that is not empty."""
    reader = csv.reader(io.StringIO(text[:_MAX_HEADER_CHARACTERS], newline=""), delimiter=separator)
    try:
        return next((fields for fields in reader if fields), [])
    except csv.Error:
        return []


def _rows(path: Path, records: _Records, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return rows with the names in the first record as keys."""
    if not records:
        return []
    (_, names), *others = records
    for column in columns:
        if names.count(column) > 1:
            raise DataError(f"{path}: {names.count(column)} columns are named {column!r}; give each its own name")
    for number, (line, fields) in enumerate(others, 1):
        if len(fields) != len(names):
            raise DataError(f"{path}:{line}: row {number} has {len(fields)} fields, the first line {len(names)}")
    return [dict(zip(names, fields, strict=True)) for _, fields in others]


def _labelled(path: Path, records: _Records, notes: list[str]) -> list[dict[str, str]]:
    for line, fields in records:
        if len(fields) == 1:
            raise DataError(
                f"{path}:{line}: rows are read from files in .json, .jsonl, .ndjson, .csv, .tsv (all of them also as "
                ".gz) and .parquet, or from lines of a label, a tab and a text; this line has no tab"
            )
    pairs = [(label, "\t".join(texts)) for _, (label, *texts) in records]
    others = [label for label, _ in pairs[1:]]
    if pairs and pairs[0][0] not in others and len(set(others)) < len(others):
        notes.append(
            f"the first line of {path.name} is taken for names of columns: no other line has the label {pairs[0][0]!r}"
        )
        del pairs[0]
    return [dict(zip(LABELLED_COLUMNS, pair, strict=True)) for pair in pairs]


def _tab_records(text: str, is_whole: Callable[[list[str]], bool]) -> _Records:
    """Return the records of a tab-separated text, with CSV's quotes if the whole text follows their rules.

    Fields with line breaks exist only if the single lines are not all complete records.
    """
    plain = _lines(text)
    if not any(field.startswith('"') for _, fields in plain for field in fields):
        return plain
    quoted = _quoted(text)
    if quoted is None or (len(quoted) != len(plain) and all(is_whole(fields) for _, fields in plain)):
        return plain
    return quoted


def _lines(text: str) -> _Records:
    lines = ((number, line.removesuffix("\r")) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line.split("\t")) for number, line in lines if line.strip()]


def _quoted(text: str) -> _Records | None:
    reader = csv.reader((f"{line}\n" for line in text.split("\n")), delimiter="\t", strict=True)
    records: _Records = []
    line = 1
    try:
        for fields in reader:
            if fields:
                records.append((line, fields))
            line = reader.line_num + 1
    except csv.Error:
        return None
    return records
