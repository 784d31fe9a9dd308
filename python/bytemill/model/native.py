"""A model in bytemill's own form: config.json and model.safetensors with our names, padding included.

This is what a checkpoint holds, bit for bit. To hand a model to others, `GPT2.save_huggingface`.
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
    """Write the model's configuration and weights into `folder`, which is made if missing.

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
    """Read what `save_model` wrote; weights are bit-equal, on the CPU."""
    folder = Path(folder)
    config = _read_config(folder / "config.json")
    tensors = read_tensors(folder / "model.safetensors")
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model = GPT2(config)
    try:
        model.load_state_dict(tensors, assign=True)
    except RuntimeError as error:
        raise FormatError(f"{folder}: model.safetensors does not fit config.json: {error}") from error
    return model.requires_grad_(True)


def is_native(folder: Path) -> bool:
    """Whether the folder's config.json says that the model is in this form."""
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
