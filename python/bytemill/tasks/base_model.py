"""The GPT-2 that work starts from: of a run, a checkpoint, weights in Hugging Face's form, or random ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import CheckpointError, ConfigError
from bytemill.model import GPT2, GPT2Config, load_model
from bytemill.model.lora import LoraConfig, apply_lora, merge_lora
from bytemill.train.checkpoint import load_weights, newest_valid, verify_checkpoint

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = ["load_base_model", "model_config_json", "starting_model"]


def load_base_model(base: str | Path) -> GPT2:
    """A trained model, its adapters merged into its weights.

    Args:
        base: A checkpoint; a run, which stands for its newest whole checkpoint; a folder that `save_model` or
            Hugging Face wrote; or a hub repository.

    Raises:
        CheckpointError: The checkpoint is damaged, or the run has none that is whole.
        FormatError: The weights are damaged, or not a GPT-2's.
    """
    folder = _checkpoint_folder(Path(base))
    return GPT2.from_huggingface(base) if folder is None else _model_of_checkpoint(folder)


def starting_model(config: RunConfig) -> GPT2:
    """What a run starts from: `config.base`, or random weights by `train.seed`.

    Raises:
        ConfigError: The model section has an unknown field or a value that cannot work.
        CheckpointError: `config.base` is a damaged checkpoint.
    """
    torch.manual_seed(config.train.seed)
    if config.base is not None:
        return load_base_model(config.base)
    fields = dict(config.model)
    name = fields.pop("name", None)
    try:
        return GPT2(GPT2Config(**fields) if name is None else GPT2Config.named(name, **fields))
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from None


def model_config_json(model: GPT2, lora: LoraConfig | None = None) -> dict[str, Any]:
    """What a checkpoint's config.json says of a model; without adapters, `load_model` reads it too."""
    fields = {"format": "bytemill-gpt2", "version": 1, **model.config.model_dump(mode="json")}
    return fields if lora is None else {**fields, "lora": lora.model_dump(mode="json")}


def _checkpoint_folder(base: Path) -> Path | None:
    """The folder itself if it is a checkpoint, the newest one in it if it is a run, else None."""
    if (base / "state.json").exists():
        verify_checkpoint(base)
        return base
    if not (base / "checkpoints").is_dir():
        return None
    newest, faults = newest_valid(base)
    if newest is None:
        raise CheckpointError(f"{base}: no checkpoint of this run is whole: {'; '.join(faults)}")
    return newest.path


def _model_of_checkpoint(folder: Path) -> GPT2:
    """The model saved in a checkpoint, its adapters merged into its weights."""
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "lora" not in fields:
        return load_model(folder)
    shape = {name: fields[name] for name in GPT2Config.model_fields}
    model = apply_lora(GPT2(GPT2Config(**shape)), LoraConfig(**fields["lora"]))
    load_weights(folder, model)
    return merge_lora(model, unwrap=True).requires_grad_(True)
