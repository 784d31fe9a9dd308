"""Read rows from JSON, tables, Parquet and Hugging Face data sets, with columns by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.data.rows.arrow import parquet_table, saved_data_set
from bytemill.data.rows.json_rows import json_lines, json_value
from bytemill.data.rows.tables import comma_table, labelled_lines, tab_table
from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["INSTRUCTION_COLUMNS", "read_rows", "refuse_missing"]

INSTRUCTION_COLUMNS = ("instruction", "output")
_MAX_SHOWN_COLUMNS = 20
_SPREADSHEETS = (".xlsx", ".xls", ".ods")


def read_rows(
    source: str | Path,
    columns: Sequence[str] = INSTRUCTION_COLUMNS,
    *,
    names: Mapping[str, str | Sequence[str]] | None = None,
    setting: str = "",
    notes: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of a file or of a hub data set, each a mapping from column to value.

    Args:
        source: .json (a list of objects, or an object with such a list), .jsonl or .ndjson (one object per line),
            .csv and .tsv (names in the first line), all of them also as .gz; .parquet; a folder that
            `datasets.save_to_disk` wrote; "hf:ID", "hf:ID:CONFIG" or "hf:ID:CONFIG:SPLIT"; or a file with another
            ending whose lines are label, tab and text, like SMSSpamCollection. A .tsv of this kind may have no names
            either. If only a text is requested, any other file, such as a .txt, is one row.
        columns: The required columns, by our names.
        names: Our name of a column -> its name in the file, if the two differ; of several names, the first that exists.
        setting: What sets a column's name, with {} for our name, such as "data.{}_column"; for the error.
        notes: Gets a sentence on each choice made while reading.

    Raises:
        DataError: The source cannot be read, has another format, or all rows lack a required column; the message names
            the existing columns.
        ArgumentError: A package that reads this format is not installed.
    """
    wanted = {column: _names(names, column) for column in dict.fromkeys([*columns, *(names or ())])}
    asked = [name for column in columns for name in wanted[column]]
    made = [] if notes is None else notes
    rows = _hub(str(source)) if str(source).startswith("hf:") else _file(Path(source), asked, made)
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{source}: expected a list of at least one object, one per row")
    there = dict.fromkeys(name for row in rows for name in row)
    for column in columns:
        if not there.keys() & set(wanted[column]):
            raise DataError(_missing(source, column, wanted[column], list(there), setting))
    renamed = {}
    for column, theirs in wanted.items():
        found = next((name for name in theirs if name in there), column)
        if found != column:
            renamed[found] = column
    return [_renamed(row, renamed) for row in rows] if renamed else rows


def refuse_missing(source: str | Path) -> None:
    """Raise DataError for a file or folder that does not exist; "hf:ID" is not looked up.

    >>> refuse_missing("hf:owner/name")
    >>> refuse_missing("nowhere.json")
    Traceback (most recent call last):
    bytemill.errors.DataError: nowhere.json: no such file or folder
    """
    if not str(source).startswith("hf:") and not Path(source).exists():
        raise DataError(f"{source}: no such file or folder")


def _names(names: Mapping[str, str | Sequence[str]] | None, column: str) -> list[str]:
    given = (names or {}).get(column, column)
    return [given] if isinstance(given, str) else list(given)


def _missing(source: object, column: str, theirs: Sequence[str], there: Sequence[str], setting: str) -> str:
    shown = ", ".join(name if name and name == name.strip() else repr(name) for name in there[:_MAX_SHOWN_COLUMNS])
    more = f" and {len(there) - _MAX_SHOWN_COLUMNS} more" if len(there) > _MAX_SHOWN_COLUMNS else ""
    hint = f"; {setting.format(column)} names the column to read" if setting else ""
    return f"{source}: no row has a column {' or '.join(map(repr, theirs))}; there are {shown}{more}{hint}"


def _renamed(row: Mapping[str, Any], renamed: Mapping[str, str]) -> dict[str, Any]:
    """Rename the columns; drop another column that already has our name."""
    ours = {renamed[name]: value for name, value in row.items() if name in renamed}
    return {name: value for name, value in row.items() if name not in renamed and name not in ours} | ours


def _file(path: Path, columns: Sequence[str], notes: list[str]) -> Any:
    kind = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if kind in _SPREADSHEETS:
        raise DataError(f"{path}: a spreadsheet, which cannot be read; save it as CSV in UTF-8")
    try:
        if path.is_dir() and kind not in _READERS:
            return saved_data_set(path)
        return _READERS.get(kind, labelled_lines)(path, columns, notes)
    except OSError as error:
        raise DataError(f"{path}: the rows cannot be read: {error.strerror or error}") from None


def _hub(name: str) -> Any:
    from bytemill.data.hub import hub_rows

    return [dict(row) for row in hub_rows(name)]


_READERS: dict[str, Callable[[Path, Sequence[str], list[str]], Any]] = {
    ".json": json_value,
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": comma_table,
    ".tsv": tab_table,
    ".parquet": parquet_table,
}
