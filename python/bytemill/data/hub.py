"""Read rows and documents of a Hugging Face data set with the package `datasets` (extra `hf`)."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError, DataError
from bytemill.files import new_file
from bytemill.outside_text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["PREFIX", "hub_rows", "write_rows"]

PREFIX = "hf:"


def hub_rows(name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a data set, one in memory at a time.

    Args:
        name: "hf:ID", "hf:ID:CONFIG" or "hf:ID:CONFIG:SPLIT"; the default split is "train". ID may also be a
            folder that `datasets` can load.

    Raises:
        ArgumentError: `datasets` is not installed, or the name has too many parts.
        DataError: `datasets` cannot find or read it.
    """
    parts = name.removeprefix(PREFIX).split(":")
    if not 1 <= len(parts) <= 3 or not parts[0]:
        raise ArgumentError(f"source is {name!r}, expected hf:ID, hf:ID:CONFIG or hf:ID:CONFIG:SPLIT")
    try:
        import datasets
    except ImportError:
        raise ArgumentError(f"{name} needs the package datasets: pip install 'bytemill[hf]'") from None
    config = parts[1] if len(parts) > 1 and parts[1] else None
    split = parts[2] if len(parts) > 2 else "train"
    # Versions that can run a data set's own code have this parameter; its code is never run here.
    takes = inspect.signature(datasets.load_dataset).parameters
    options = {"trust_remote_code": False} if "trust_remote_code" in takes else {}
    try:
        yield from datasets.load_dataset(parts[0], config, split=split, streaming=True, **options)
    except Exception as error:  # datasets raises its own errors, and those of the hub, httpx, pyarrow and the system
        raise DataError(f"{name}: the package datasets cannot read it: {one_line(str(error))}") from None


def write_rows(name: str, path: Path, *, text_field: str = "text") -> int:
    """Write each row's text as a line of JSON for `prepare`; return the number of rows.

    Args:
        name: As in `hub_rows`.
        path: The file to write.
        text_field: The column that holds the text.

    Raises:
        ArgumentError: As in `hub_rows`.
        DataError: There is no such column; the message names the columns.
    """
    n_rows = 0
    with new_file(path) as file:
        for row in hub_rows(name):
            if text_field not in row:
                raise DataError(f"{name} has no column {text_field!r}; there are {', '.join(row)}")
            file.write(json.dumps({text_field: row[text_field]}).encode() + b"\n")
            n_rows += 1
    return n_rows
