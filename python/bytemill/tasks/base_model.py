"""The model that work starts from: of a run, a checkpoint, weights in Hugging Face's form, or random ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from bytemill.errors import CheckpointError, ConfigError, DataError, FormatError
from bytemill.json_reader import read_object
from bytemill.model import GPT2, CausalModel, GPT2Config, TransformersCausal, load_pretrained
from bytemill.model.config import with_added_fields
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, merge_lora
from bytemill.model.lora.peft_backend import apply_peft, merge_peft
from bytemill.tokenizer import Tokenizer
from bytemill.tokenizer.source import open_tokenizer
from bytemill.train.checkpoint import newest_valid, verify_checkpoint
from bytemill.train.device import pick_device
from bytemill.train.tensors import load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.train.config import LoraSettings, RunConfig

__all__ = [
    "adapt",
    "checkpoint_folder",
    "fitted_to_data",
    "load_base_model",
    "lora_config",
    "merge_adapters",
    "model_at_work",
    "model_config_json",
    "model_from_json",
    "refuse_other_tokenizer",
    "starting_model",
    "tokenizer_of",
    "wrap_as_saved",
]

Model = TypeVar("Model", bound=nn.Module)


def load_base_model(base: str | Path, *, tokenizer_sha256: str | None = None, merge: bool = True) -> CausalModel:
    """A trained model, its adapters merged into its weights.

    Args:
        base: A checkpoint; a run, which stands for its newest whole checkpoint; a folder that `save_model` or
            Hugging Face wrote; or a hub repository.
        tokenizer_sha256: Fingerprint of the tokenizer that it shall work with; None does not care.
        merge: False leaves adapters beside the weights.

    Raises:
        DataError: A run or checkpoint was trained with another tokenizer, or is a classifier.
        CheckpointError: The checkpoint is damaged, or the run has none that is whole.
        FormatError: The weights are damaged, or no causal language model's.
    """
    folder = checkpoint_folder(Path(base))
    if folder is None:
        return load_pretrained(base)
    refuse_other_tokenizer(folder, tokenizer_sha256)
    fields = read_object(folder / "config.json", error=CheckpointError)
    if "labels" in fields:
        raise DataError(f"{base}: a classifier of {', '.join(map(str, fields['labels']))}, no language model")
    model = wrap_as_saved(model_from_json(fields), fields)
    load_weights(folder, model)
    return merge_adapters(model, fields).requires_grad_(True) if merge else model


def model_at_work(base: str | Path, *, tokenizer_sha256: str | None = None) -> CausalModel:
    """As `load_base_model`, on the fastest device there is: to generate with, or to be measured."""
    return load_base_model(base, tokenizer_sha256=tokenizer_sha256).to(pick_device())


def starting_model(config: RunConfig, *, tokenizer_sha256: str) -> CausalModel:
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


def tokenizer_of(config: RunConfig) -> Tokenizer:
    """The tokenizer of `data.tokenizer`, or the one that lies in the folder of `base`.

    Raises:
        ConfigError: Neither is there.
        FormatError: It is damaged, or no byte-level BPE.
    """
    if config.data.tokenizer is not None:
        return open_tokenizer(config.data.tokenizer)
    beside = None if config.base is None else Path(config.base) / "tokenizer.json"
    if beside is None or not beside.is_file():
        raise ConfigError("data.tokenizer is not given, and no tokenizer.json lies beside the model's weights")
    return Tokenizer.load(beside)


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


def lora_config(settings: LoraSettings) -> LoraConfig | None:
    """The adapters that the settings describe; None when all parameters train."""
    return LoraConfig(**settings.model_dump(exclude={"backend"})) if settings.r else None


def adapt(model: nn.Module, settings: LoraSettings) -> list[nn.Parameter]:
    """Put the adapters on `model` that the settings describe; give what trains, nothing for rank 0."""
    lora = lora_config(settings)
    if lora is None:
        return []
    if settings.backend == "peft":
        return apply_peft(model, lora)
    return lora_parameters(apply_lora(model, lora))


def model_config_json(
    model: CausalModel, lora: LoraConfig | None = None, *, backend: str = "bytemill"
) -> dict[str, Any]:
    """What a checkpoint's config.json says of a model; without adapters, `load_model` reads our GPT-2's too."""
    if isinstance(model, TransformersCausal):
        fields = {"format": "bytemill-transformers", "version": 1, "settings": model.settings()}
    else:
        fields = {"format": "bytemill-gpt2", "version": 1, **model.config.model_dump(mode="json")}
    if lora is None:
        return fields
    return {**fields, "lora": lora.model_dump(mode="json"), **({"lora_backend": backend} if backend == "peft" else {})}


def model_from_json(fields: Mapping[str, Any]) -> CausalModel:
    """The model that `model_config_json` described, with random weights and without adapters."""
    if fields.get("format") == "bytemill-transformers" and isinstance(fields.get("settings"), dict):
        return TransformersCausal.from_settings(fields["settings"])
    fields = with_added_fields(fields)
    missing = [name for name in GPT2Config.model_fields if name not in fields]
    if fields.get("format") != "bytemill-gpt2" or missing:
        found = f"lacks {', '.join(missing)}" if missing else f"has the format {fields.get('format')!r}"
        raise FormatError(f"config.json of the checkpoint is not one of bytemill's: it {found}")
    return GPT2(GPT2Config(**{name: fields[name] for name in GPT2Config.model_fields}))


def wrap_as_saved(model: Model, fields: Mapping[str, Any]) -> Model:
    """Put the adapters on that a config.json speaks of."""
    if "lora" in fields:
        if not isinstance(fields["lora"], dict):
            raise FormatError("config.json of the checkpoint is not one of bytemill's: lora is not an object")
        lora = LoraConfig(**fields["lora"])
        if fields.get("lora_backend") == "peft":
            apply_peft(model, lora)
        else:
            apply_lora(model, lora)
    return model


def merge_adapters(model: Model, fields: Mapping[str, Any]) -> Model:
    """Take the adapters that a config.json speaks of into the weights."""
    if "lora" not in fields:
        return model
    return merge_peft(model) if fields.get("lora_backend") == "peft" else merge_lora(model, unwrap=True)


def checkpoint_folder(base: Path) -> Path | None:
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


def refuse_other_tokenizer(checkpoint: Path, given: str | None) -> None:
    """Make sure that a checkpoint was trained with the tokenizer of this fingerprint; None does not care."""
    state = read_object(checkpoint / "state.json", error=CheckpointError)
    own = state["fingerprints"].get("tokenizer", given)
    if given is not None and own != given:
        raise DataError(
            f"{checkpoint}: this model was trained with another tokenizer: its own has the fingerprint {own[:12]}, "
            f"the one given {given[:12]}"
        )
