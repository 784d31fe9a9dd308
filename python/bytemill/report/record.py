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
from bytemill.report.page import Page

__all__ = ["read_page", "record_of"]

_VERSION = 1
_OPENING = b'<script type="application/json" id="record">'
_CLOSING = b"</script>"


def record_of(page: Page) -> str:
    r"""Return the page as JSON in ASCII, without `<`, so that no text in it ends the element that holds it.

    >>> from bytemill.report.page import Page
    >>> "</script>" in record_of(Page("</script>", "", ()))
    False
    """
    content = {"bytemill_page": _VERSION, "page": _as_data(page)}
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", r"\u003c")


def read_page(path: Path) -> Page:
    """Read a page that bytemill wrote.

    Raises:
        DataError: The file is not such a page, or its record is damaged.
        OSError: The file cannot be read.
    """
    from pydantic import TypeAdapter, ValidationError

    content = read_regular_file(path, max_bytes=MAX_VALUE_BYTES, error=DataError)
    record = content.rpartition(_OPENING)[2].partition(_CLOSING)[0] if _OPENING in content else None
    if record is None:
        raise DataError(f"{path}: expected a page of bytemill, the folder of a run, or the folder of a sweep")
    found = parse_json(record, path, error=DataError)
    if not isinstance(found, dict) or found.get("bytemill_page") != _VERSION:
        raise DataError(f"{path}: its record is of another version of bytemill; write the page again")
    try:
        return TypeAdapter(Page).validate_python(_with_nan(found.get("page")))
    except ValidationError as fault:
        # A block is one of several kinds; the error that is deepest in the record is that of the kind it has.
        deepest = max(fault.errors(), key=lambda one: len(one["loc"]))
        place = ".".join(map(str, deepest["loc"]))
        raise DataError(f"{path}: its record is damaged at {place}: {deepest['msg']}") from None


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
