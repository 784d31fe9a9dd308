"""Linux's lists of facts in /proc: lines of `name: value`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["field_of"]


def field_of(path: Path, field: str) -> str | None:
    """Return the first value of a field; None if the file, which only Linux has, or the field is missing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found = (line.partition(":") for line in lines)
    return next((value.strip() for name, _, value in found if name.strip() == field), None)
