"""Writes all settings as TOML with their documentation; `--print-config` prints it, and `load_config` reads it back."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import BaseModel

from bytemill.model.config import GPT2Config
from bytemill.train.settings.toml import toml_key, toml_literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

__all__ = ["documented_toml"]

WIDTH = 110


def documented_toml(config: BaseModel) -> str:
    r"""Return every setting of a `RunConfig` with its description above it; what is not set is a comment.

    >>> from bytemill.train.config import RunConfig
    >>> text = documented_toml(RunConfig())
    >>> print("\n".join(text.splitlines()[:2]))
    # What is trained. One of "pretrain", "lm", "instruct", "chat", "classify", "preference".
    task = "pretrain"
    """
    return "\n".join(_section(config, "")).lstrip("\n") + "\n"


def _section(section: BaseModel, prefix: str) -> Iterator[str]:
    """Yield plain settings first, then the sections below, as TOML requires."""
    fields = type(section).model_fields
    values = {name: getattr(section, name) for name in fields}
    for name, field in fields.items():
        if not isinstance(values[name], BaseModel | dict):
            yield from _setting(name, field, values[name])
    for name, field in fields.items():
        value = values[name]
        if isinstance(value, BaseModel):
            yield from ("", *_comment(field.description or ""), f"[{prefix}{name}]")
            yield from _section(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            yield from ("", *_comment(field.description or ""), f"[{prefix}{name}]")
            yield from _model_fields(value) if name == "model" else _given(value)


def _setting(name: str, field: FieldInfo, value: Any) -> Iterator[str]:
    yield from _comment(_described(field))
    yield f"# {name} =" if value is None else f"{name} = {toml_literal(_plain(value))}"


def _given(values: dict[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        yield f"{toml_key(name)} = {toml_literal(_plain(value))}"


def _model_fields(given: dict[str, Any]) -> Iterator[str]:
    """Yield the given fields of GPT-2's shape, and the others as comments with their defaults."""
    yield from _given({name: value for name, value in given.items() if name not in GPT2Config.model_fields})
    for name, field in GPT2Config.model_fields.items():
        yield from _comment(_described(field))
        if name in given:
            yield f"{name} = {toml_literal(given[name])}"
        else:
            yield f"# {name} =" if field.default is None else f"# {name} = {toml_literal(field.default)}"


def _described(field: FieldInfo) -> str:
    """Return the field's description and its choices."""
    text = " ".join((field.description or "").split())
    if get_origin(field.annotation) is Literal:
        text += f" One of {', '.join(map(toml_literal, get_args(field.annotation)))}."
    return text


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in textwrap.wrap(text, WIDTH - 2))
