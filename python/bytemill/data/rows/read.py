"""Files of rows: JSON, tables, Parquet, and data sets of the Hugging Face hub; columns by name."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, DataError
from bytemill.json_reader import MAX_ROWS_BYTES, parse_json, read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["INSTRUCTION_COLUMNS", "read_rows"]

INSTRUCTION_COLUMNS = ("instruction", "output")
_LABELLED_COLUMNS = ("label", "text")
_KNOWN_COLUMNS = (*INSTRUCTION_COLUMNS, *_LABELLED_COLUMNS)
"""By one of these a .tsv is seen to have names in its first line, where no column is asked for."""

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than csv's 128 KiB


def read_rows(
    source: str | Path,
    columns: Sequence[str] = INSTRUCTION_COLUMNS,
    *,
    names: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """The rows of a file or of a hub data set, each a mapping from column to value.

    Args:
        source: .json (an array of objects), .jsonl (an object a line), .csv and .tsv (names in the first line),
            .parquet; "hf:ID", "hf:ID:CONFIG" or "hf:ID:CONFIG:SPLIT"; or a file of another ending in which each
            line is a label, a tab and a text, as SMSSpamCollection is. In .tsv, too, such a file may lack names.
        columns: Those that are needed, by our name.
        names: Our name of a column -> its name in the file, where the two differ.

    Raises:
        DataError: The source cannot be read, is of another form, or all rows lack a column that is
            needed; the error names the columns that are there.
        ArgumentError: A package is missing that reads it.
    """
    names = names or {}
    needed = [names.get(column, column) for column in columns]
    rows = _hub(str(source)) if str(source).startswith("hf:") else _file(Path(source), needed)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{source}: expected a list of objects, one a row, and at least one")
    there = dict.fromkeys(name for row in rows for name in row)
    for column in needed:
        if column not in there:
            shown = ", ".join(repr(name) if not name.strip() else name for name in there)
            raise DataError(f"{source}: no row has a column {column!r}; there are {shown}")
    renamed = {theirs: ours for ours, theirs in names.items() if ours != theirs}
    return [_renamed(row, renamed) for row in rows] if renamed else rows


def _renamed(row: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """A column that bears our name already but is not meant gives way."""
    ours = {renamed[name]: value for name, value in row.items() if name in renamed}
    return {name: value for name, value in row.items() if name not in renamed and name not in ours} | ours


def _file(path: Path, columns: Sequence[str]) -> Any:
    reader = _READERS.get(path.suffix.lower(), _label_and_text)
    try:
        return reader(path, columns)
    except OSError as error:
        raise DataError(f"{path}: the rows cannot be read: {error.strerror or error}") from None


def _json(path: Path, _: Sequence[str]) -> Any:
    return parse_json(_text(path), path, error=DataError)


def _json_lines(path: Path, _: Sequence[str]) -> Any:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            rows.append(parse_json(line, f"{path}:{number}", error=DataError))
    return rows


def _comma_table(path: Path, _: Sequence[str]) -> Any:
    reader = csv.DictReader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not a table in CSV: {error}") from None
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise DataError(f"{path}: row {number} has not as many fields as the first line, {len(row)}")
    return rows


def _tab_table(path: Path, columns: Sequence[str]) -> Any:
    """No quotes: a field has neither tab nor line break (IANA's text/tab-separated-values)."""
    lines = [line.removesuffix("\r") for line in _text(path).split("\n")]
    names = lines[0].split("\t")
    if len(names) == 2 and not set(columns or _KNOWN_COLUMNS) & set(names):
        return _label_and_text(path, columns)
    rows = []
    for number, line in enumerate(lines[1:], 2):
        fields = line.split("\t")
        if line and len(fields) != len(names):
            raise DataError(f"{path}:{number}: has {len(fields)} fields, the first line {len(names)}")
        if line:
            rows.append(dict(zip(names, fields, strict=True)))
    return rows


def _label_and_text(path: Path, _: Sequence[str]) -> Any:
    rows = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        label, tab, text = line.rstrip("\r").partition("\t")
        if line.strip() and not tab:
            known = ", ".join(_READERS)
            raise DataError(
                f"{path}:{number}: rows are read from files in {known}, or from lines of a label, a tab and a text; "
                "this line has no tab"
            )
        if line.strip():
            rows.append(dict(zip(_LABELLED_COLUMNS, (label, text), strict=True)))
    return rows


def _parquet(path: Path, _: Sequence[str]) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise ArgumentError(f"{path}: rows in Parquet need the package pyarrow: pip install 'bytemill[hf]'") from None
    if path.exists() and not path.is_file():
        raise DataError(f"{path}: a folder, pipe or device, expected a regular file; save what it gives in one")
    try:
        return pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not whole Parquet: {error}") from None


def _hub(name: str) -> Any:
    from bytemill.data.hub import hub_rows

    return [dict(row) for row in hub_rows(name)]


def _text(path: Path) -> str:
    data = read_regular_file(path, max_bytes=MAX_ROWS_BYTES, error=DataError)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}:{line}: not JSON in UTF-8 or a table in it: byte {data[error.start]:#04x}") from None


_READERS: dict[str, Callable[[Path, Sequence[str]], Any]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _comma_table,
    ".tsv": _tab_table,
    ".parquet": _parquet,
}
