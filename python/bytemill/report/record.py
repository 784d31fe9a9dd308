"""The content of a page as JSON, in the page itself: `bytemill report` joins pages by reading their records.

The record holds every block of the page: texts, tables, and the numbers of plots; long curves are thinned as in the
plot. It is in an element that browsers do not run. Reading checks each field, and the new page escapes all text
again, so a record from a stranger can do no more than a page of text.
"""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from bytemill.errors import DataError
from bytemill.json_reader import MAX_VALUE_BYTES, parse_json, read_regular_file
from bytemill.report.charts import Line

__all__ = ["page_in", "record_of"]

_VERSION = 1
_OPENING = b'<script type="application/json" id="record">'
_CLOSING = b"</script>"


def record_of(page: Any) -> str:
    r"""Return the page as JSON in ASCII, without `<`, so that no text in it ends the element that holds it.

    >>> from bytemill.report.page import Page
    >>> "</script>" in record_of(Page("</script>", "", ()))
    False
    """
    content = {"bytemill_page": _VERSION, "page": _as_data(page)}
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def page_in(path: Path) -> Any:
    """Return the JSON data of the page in a file, with NaN where a plot has no number.

    Raises:
        DataError: The file is not a page of bytemill.
        OSError: The file cannot be read.
    """
    content = read_regular_file(path, max_bytes=MAX_VALUE_BYTES, error=DataError)
    if _OPENING not in content:
        raise DataError(f"{path}: expected a page of bytemill, the folder of a run, or the folder of a sweep")
    found = parse_json(content.rpartition(_OPENING)[2].partition(_CLOSING)[0], path, error=DataError)
    if not isinstance(found, dict) or found.get("bytemill_page") != _VERSION:
        raise DataError(f"{path}: its record is of another version of bytemill; write the page again")
    return _with_nan(found.get("page"))


def _as_data(value: Any) -> Any:
    """Return dataclasses as objects and tuples as lists; NaN and infinite numbers as None."""
    if isinstance(value, Line):
        x, y = value.thinned()
        value = dataclasses.replace(value, x=x, y=y)
    if dataclasses.is_dataclass(value):
        return {field.name: _as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple):
        return [_as_data(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _with_nan(value: Any, *, of_numbers: bool = False) -> Any:
    """Return JSON data with NaN for None in the numbers of plots, as `_as_data` wrote them."""
    if isinstance(value, dict):
        return {name: _with_nan(one, of_numbers=name in ("x", "y", "values")) for name, one in value.items()}
    if isinstance(value, list):
        return [_with_nan(one, of_numbers=of_numbers) for one in value]
    return math.nan if value is None and of_numbers else value
