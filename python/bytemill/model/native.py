"""Save and load models in bytemill's own format: config.json and model.safetensors, padding included.

A checkpoint has the same files, bit for bit. To share a model, use `GPT2.save_huggingface`.
"""

from pathlib import Path

import torch

from bytemill.errors import FormatError
from bytemill.files import refuse_output_in_checkpoint
from bytemill.model.config import GPT2Config
from bytemill.model.gpt2 import GPT2
from bytemill.model.weight_files import read_json, read_tensors, write_json, write_tensors

__all__ = ["is_native", "load_model", "save_model"]

_FORMAT = "bytemill-gpt2"
_VERSION = 1


def save_model(model: GPT2, folder: str | Path) -> None:
    """Write the model's configuration and weights to `folder`, which is created if missing.

    Raises:
        ArgumentError: `folder` is a run's checkpoint, which writing would damage.
    """
    refuse_output_in_checkpoint(folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    header = {"format": _FORMAT, "version": _VERSION}
    write_json({**header, **model.config.model_dump()}, folder / "config.json")


def load_model(folder: str | Path) -> GPT2:
    """Load a model that `save_model` wrote, on the CPU; weights are equal to the bit."""
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    tensors = read_tensors(folder / "model.safetensors")
    with torch.device("meta"):  # skip random weights, which are replaced immediately
        model = GPT2(config)
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise FormatError(f"{folder}: model.safetensors does not fit config.json: {error}") from error
    return model.requires_grad_(True)


def is_native(folder: Path) -> bool:
    """Return whether the folder's config.json says that the model is in this format."""
    path = folder / "config.json"
    return path.is_file() and read_json(path).get("format") == _FORMAT


def _read_config(path: Path) -> GPT2Config:
    fields = read_json(path)
    found = fields.pop("format", None), fields.pop("version", None)
    if found != (_FORMAT, _VERSION):
        raise FormatError(
            f"{path}: format and version are {found[0]!r}, {found[1]!r}; expected {_FORMAT!r}, {_VERSION}"
        )
    return GPT2Config(**fields)
