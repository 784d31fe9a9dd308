"""Reads a page that bytemill wrote, from the record in its file; every field is checked."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bytemill.errors import DataError
from bytemill.report.page import Page
from bytemill.report.record import page_in

__all__ = ["read_page"]


def read_page(path: Path) -> Page:
    """Read a page that bytemill wrote.

    Raises:
        DataError: The file is not such a page, or its record is damaged.
        OSError: The file cannot be read.
    """
    try:
        return TypeAdapter(Page).validate_python(page_in(path))
    except ValidationError as fault:
        # A block is one of several kinds; the error that is deepest in the record is that of the kind it has.
        deepest = max(fault.errors(), key=lambda one: len(one["loc"]))
        place = ".".join(map(str, deepest["loc"]))
        raise DataError(f"{path}: its record is damaged at {place}: {deepest['msg']}") from None
