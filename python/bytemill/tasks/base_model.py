"""The GPT-2 that work starts from: of a run, a checkpoint, weights in Hugging Face's form, or random ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import CheckpointError, ConfigError, DataError
from bytemill.model import GPT2, GPT2Config, load_model
from bytemill.model.lora import LoraConfig, apply_lora, merge_lora
from bytemill.train.checkpoint import newest_valid, verify_checkpoint
from bytemill.train.tensors import load_weights

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = ["fitted_to_data", "load_base_model", "model_config_json", "starting_model"]


def load_base_model(base: str | Path, *, tokenizer_sha256: str | None = None) -> GPT2:
    """A trained model, its adapters merged into its weights.

    Args:
        base: A checkpoint; a run, which stands for its newest whole checkpoint; a folder that `save_model` or
            Hugging Face wrote; or a hub repository.
        tokenizer_sha256: Fingerprint of the tokenizer that it shall work with; None does not care.

    Raises:
        DataError: A run or checkpoint was trained with another tokenizer; other folders do not tell.
        CheckpointError: The checkpoint is damaged, or the run has none that is whole.
        FormatError: The weights are damaged, or not a GPT-2's.
    """
    folder = _checkpoint_folder(Path(base))
    if folder is None:
        return GPT2.from_huggingface(base)
    _refuse_other_tokenizer(folder, tokenizer_sha256)
    return _model_of_checkpoint(folder)


def starting_model(config: RunConfig, *, tokenizer_sha256: str) -> GPT2:
    """What a run starts from: `config.base`, or random weights by `train.seed`.

    Raises:
        DataError: `config.base` was trained with another tokenizer than the one with this fingerprint.
        ConfigError: The model section has an unknown field or a value that cannot work.
        CheckpointError: `config.base` is a damaged checkpoint.
    """
    torch.manual_seed(config.train.seed)
    if config.base is not None:
        return load_base_model(config.base, tokenizer_sha256=tokenizer_sha256)
    fields = dict(config.model)
    name = fields.pop("name", None)
    try:
        return GPT2(GPT2Config(**fields) if name is None else GPT2Config.named(name, **fields))
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from None


def fitted_to_data(config: RunConfig, n_vocab: int) -> RunConfig:
    """The configuration with what it leaves open of a new model.

    That is as many ids as the tokenizer has, and a context of one sample unless the model is a named one.

    >>> from bytemill.train.config import load_config
    >>> fitted_to_data(load_config(None, ["model.n_layer=2", "data.seq_len=64"]), 300).model
    {'vocab_size': 300, 'n_positions': 64, 'n_layer': 2}
    """
    if config.base is not None:
        return config
    open_fields = {"vocab_size": n_vocab}
    if "name" not in config.model:
        open_fields["n_positions"] = config.data.seq_len
    return config.model_copy(update={"model": {**open_fields, **config.model}})


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


def _refuse_other_tokenizer(checkpoint: Path, given: str | None) -> None:
    state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
    own = state["fingerprints"].get("tokenizer", given)
    if given is not None and own != given:
        raise DataError(
            f"{checkpoint}: this model was trained with another tokenizer: its own has the fingerprint {own[:12]}, "
            f"the one given {given[:12]}"
        )


def _model_of_checkpoint(folder: Path) -> GPT2:
    """The model saved in a checkpoint, its adapters merged into its weights."""
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "lora" not in fields:
        return load_model(folder)
    shape = {name: fields[name] for name in GPT2Config.model_fields}
    model = apply_lora(GPT2(GPT2Config(**shape)), LoraConfig(**fields["lora"]))
    load_weights(folder, model)
    return merge_lora(model, unwrap=True).requires_grad_(True)
