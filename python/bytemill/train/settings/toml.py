"""Writes settings as TOML; Python's standard library only reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["toml_key", "toml_literal", "toml_text"]


def toml_text(table: Mapping[str, Any]) -> str:
    """Return nested JSON data as TOML; None is left out.

    >>> print(toml_text({"a": {"b": [1, 2.5]}, "c": None, "d": "x"}), end="")
    d = "x"
    <BLANKLINE>
    [a]
    b = [1, 2.5]
    """
    return "\n".join(_toml_lines(table, prefix="")).lstrip("\n") + "\n"


def toml_literal(value: Any) -> str:
    """Return a value as TOML text.

    >>> toml_literal(["qkv", "a b"])
    '["qkv", "a b"]'
    """
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_literal(item) for item in value) + "]"
    if isinstance(value, float):
        return repr(value)
    # JSON strings, integers and booleans are valid TOML, except for one character that TOML requires to be escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _toml_lines(table: Mapping[str, Any], prefix: str) -> Iterable[str]:
    """Yield plain values first, then one section per table, as TOML requires."""
    for name, value in table.items():
        if value is not None and not isinstance(value, dict):
            yield f"{toml_key(name)} = {toml_literal(value)}"
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield f"\n[{prefix}{toml_key(name)}]"
            yield from _toml_lines(value, f"{prefix}{toml_key(name)}.")


def toml_key(name: str) -> str:
    """Return a key as TOML text, in quotes if necessary."""
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else toml_literal(name)
