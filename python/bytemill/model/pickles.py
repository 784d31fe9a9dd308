"""Read pickled weights of other programs without running code in them.

A pickle can run code when it is read. So the caller must allow it, and it is read only by
`torch.load(weights_only=True)`, which makes tensors and plain containers. Objects of other classes, such as the
dataclass with build-nanogpt's settings, become records with the same fields and no code.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bytemill.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PICKLE_SUFFIXES", "PickledWeights", "read_pickle"]

PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt")

_STATE_DICTS = ("model_state_dict", "state_dict", "model", "module")  # LLMs-from-scratch, Lightning, nanoGPT, DeepSpeed
_SETTINGS = ("hyper_parameters", "args", "config", "model_config", "model_args")  # the last one wins
_FORBIDDEN_CLASS = re.compile(r"GLOBAL ([\w.]+)")


@dataclass(frozen=True)
class PickledWeights:
    """The contents of a file of weights."""

    tensors: dict[str, Tensor]
    """The tensors by their names in the file."""
    settings: dict[str, Any]
    """The file's settings of the model, such as nanoGPT's `model_args`; empty for a bare state dict."""
    entries: frozenset[str]
    """Names of all other entries next to the state dict, such as `iter_num`."""


def read_pickle(path: Path, *, allowed: bool) -> PickledWeights:
    """Read a state dict, or a checkpoint with one.

    Args:
        path: A `.bin`, `.pt`, `.pth` or `.ckpt` file that `torch.save` wrote.
        allowed: Whether a pickle may be read.

    Raises:
        ConfigError: `allowed` is False.
        FormatError: The file is damaged, or holds no state dict.
    """
    if not allowed:
        raise ConfigError(
            f"{path}: is a pickle, which can run code when it is read; allow it (--allow-pickle) if you trust its "
            "source, or convert it to safetensors there"
        )
    loaded = _load(path)
    entries: frozenset[str] = frozenset()
    settings: dict[str, Any] = {}
    if isinstance(loaded, dict) and (name := next((n for n in _STATE_DICTS if isinstance(loaded.get(n), dict)), None)):
        entries = frozenset(str(key) for key in loaded)
        for key in _SETTINGS:
            settings |= _fields(loaded.get(key))
        loaded = loaded[name]
    if not isinstance(loaded, dict) or not loaded:
        raise FormatError(f"{path}: expected a state dict, names to tensors, got {_kind(loaded)}")
    for name, value in loaded.items():
        if not isinstance(value, Tensor) or not isinstance(name, str):
            raise FormatError(f"{path}: expected a state dict, names to tensors, but {name} is {_kind(value)}")
    return PickledWeights(loaded, settings, entries)


class _Record:
    """A replacement for an object of an unknown class: its fields, and no code."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.fields: dict[str, Any] = {}

    def __new__(cls, *_: Any, **__: Any) -> _Record:
        record = super().__new__(cls)
        record.fields = {}
        return record

    def __setstate__(self, state: Any) -> None:
        self.fields = dict(state) if isinstance(state, dict) else {}


def _load(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([(_Record, name) for name in _unknown_classes(path)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, TypeError, AttributeError) as error:
        text = str(error).strip()
        found = _FORBIDDEN_CLASS.search(text)
        reason = f"it holds {found[1]}" if found else text.partition("\n")[0]
        raise FormatError(f"{path}: damaged, or holds more than tensors and settings ({reason})") from None


def _unknown_classes(path: Path) -> list[str]:
    """Return the names of classes that torch does not list as safe; none for a file in torch's old format."""
    try:
        return torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except (ValueError, RuntimeError, OSError, pickle.UnpicklingError):
        return []


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, _Record):
        return value.fields
    return dict(value) if isinstance(value, Mapping) else {}


def _kind(value: Any) -> str:
    return "an object of another program" if isinstance(value, _Record) else f"a {type(value).__name__}"
