"""Tensors and settings on disk: safetensors and JSON, each file whole or not there.

A file is written beside its place under a temporary name, flushed to the disk, and renamed: whoever is
interrupted leaves the old file as it was.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bytemill.errors import FormatError
from bytemill.json_reader import read_object

__all__ = ["read_json", "read_tensors", "write_json", "write_tensors"]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file; a damaged or cut one raises `FormatError` with its name."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: there is no such file")
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path}: damaged, cut short, or not a safetensors file ({error})") from error
    return tensors


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors of any device, in their own precision."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write_aside(Path(path), lambda aside: save_file(plain, aside, metadata=dict(metadata or {})))


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; anything else raises `FormatError` with the file's name."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: there is no such file")
    return read_object(path)


def write_json(value: Mapping[str, Any], path: str | Path) -> None:
    """Write an object as JSON that people can read."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    _write_aside(Path(path), lambda aside: aside.write_text(text, encoding="utf-8"))


def _write_aside(path: Path, write: Callable[[Path], object]) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        write(aside)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
