"""Read and write tensors and settings: safetensors and JSON, each file written atomically.

`bytemill.files` writes the files: an interruption leaves the old file unchanged.
"""

import contextlib
import errno
import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bytemill.errors import FormatError
from bytemill.files import write_text, write_with
from bytemill.json_reader import read_object

__all__ = [
    "check_weight_files",
    "first_not_finite",
    "read_json",
    "read_tensors",
    "read_weights",
    "refuse_not_finite",
    "system_errors",
    "weight_shards",
    "write_json",
    "write_tensors",
]

MAX_TENSORS = 100_000
"""Maximum tensors in one file of weights: each takes time to load, however small it is."""
MAX_HEADER_BYTES = 64 << 20
"""Maximum bytes of names and shapes in one file of weights."""
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read a safetensors file; a damaged or truncated file raises `FormatError` with its name."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: there is no such file")
    try:
        _check_header(Path(path))
        tensors: dict[str, Tensor] = load_file(path)
    except SafetensorError as error:
        raise FormatError(f"{path}: damaged, cut short, or not a safetensors file ({error})") from error
    return tensors


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Read all tensors of model.safetensors in a folder, or of the shards that its index names."""
    tensors: dict[str, Tensor] = {}
    for file in weight_shards(folder, "model.safetensors"):
        tensors |= read_tensors(file)
    return tensors


def weight_shards(folder: Path, name: str) -> list[Path]:
    """Return the file `name` in a folder, or the shards that its index names.

    Raises:
        FormatError: The index is damaged, or names a file in another folder.
    """
    index = folder / f"{name}.index.json"
    if not index.is_file():
        return [folder / name]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise FormatError(f"{index}: weight_map should be an object from tensor names to file names")
    for file in weight_map.values():
        if Path(file).name != file:
            raise FormatError(f"{index}: shard {file!r} must be a plain name of a file next to the index")
    return [folder / file for file in sorted(set(weight_map.values()))]


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor with NaN or infinite values, or None.

    >>> first_not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, math.inf])})
    'b'
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel():
            least, most = torch.aminmax(tensor)  # both are NaN if any value is
            if not (math.isfinite(least.item()) and math.isfinite(most.item())):
                return name
    return None


def refuse_not_finite(tensors: Mapping[str, Tensor], source: object) -> None:
    """Raise FormatError if weights are NaN or infinite.

    Raises:
        FormatError: A tensor has such values; the message names the source and the tensor.
    """
    if (broken := first_not_finite(tensors)) is not None:
        raise FormatError(f"{source}: {broken} holds NaN or infinite numbers, expected trained weights")


@contextlib.contextmanager
def system_errors() -> Iterator[None]:
    """Convert safetensors' error about a failed write, as on a full disk, to the original OSError."""
    try:
        yield
    except SafetensorError as error:  # safetensors keeps the system's error only as text
        number = _SYSTEM_ERROR.search(str(error))
        code = int(number[1]) if number else errno.EIO
        raise OSError(code, os.strerror(code) if number else str(error)) from None


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors from any device, in their own dtype.

    Raises:
        OSError: The system reports an error, such as a full disk; the message names the file.
    """
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    about = dict(metadata) if metadata else None

    def save(temporary: Path) -> None:
        with system_errors():
            save_file(plain, temporary, metadata=about)

    write_with(path, save)


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object; anything else raises `FormatError` with the file's name."""
    if not Path(path).is_file():
        raise FormatError(f"{path}: there is no such file")
    return read_object(path)


def write_json(value: Mapping[str, Any], path: str | Path) -> None:
    """Write an object as readable JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _check_header(path: Path) -> None:
    """Raise FormatError for a file with too many tensors, before any is allocated."""
    with path.open("rb") as file:
        n_bytes = int.from_bytes(file.read(8), "little")
        if n_bytes > MAX_HEADER_BYTES:
            raise FormatError(f"{path}: its header has {n_bytes:,} bytes, expected at most {MAX_HEADER_BYTES:,}")
        n_tensors = file.read(n_bytes).count(b'"data_offsets"')
    if n_tensors > MAX_TENSORS:
        raise FormatError(f"{path}: holds {n_tensors:,} tensors, expected at most {MAX_TENSORS:,}")


def check_weight_files(folder: Path) -> None:
    """Refuse weights with too many tensors before another library reads them, as `read_tensors` does."""
    for path in sorted(folder.glob("*.safetensors")):
        if path.is_file():
            _check_header(path)
