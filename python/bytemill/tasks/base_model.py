"""Loads or builds the model to start from: of a run, a checkpoint, a Hugging Face folder, or with random weights."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from bytemill.errors import CheckpointError, ConfigError, DataError, FormatError
from bytemill.model import GPT2, CausalModel, GPT2Config, TransformersCausal, load_pretrained
from bytemill.model.config import with_added_fields
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, merge_lora
from bytemill.model.lora.peft_backend import apply_peft, merge_peft
from bytemill.places import resolved_path
from bytemill.tasks.base_settings import model_shape
from bytemill.tasks.model_place import ModelPlace, find_model
from bytemill.train.run.tensors import load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bytemill.train.config import LoraSettings, RunConfig

__all__ = [
    "adapt",
    "base_identity",
    "base_of",
    "body_at",
    "load_base_model",
    "load_model_at",
    "lora_config",
    "merge_adapters",
    "model_config_json",
    "model_from_json",
    "starting_model",
    "with_saved_weights",
    "wrap_as_saved",
]

Model = TypeVar("Model", bound=nn.Module)


def load_base_model(base: str | Path, *, tokenizer_sha256: str | None = None, merge: bool = True) -> CausalModel:
    """Return a trained model, with its adapters merged into its weights.

    Args:
        base: See `bytemill.tasks.model_place`.
        tokenizer_sha256: Fingerprint of the tokenizer that the model must match; None accepts any.
        merge: False keeps adapters separate from the weights.

    Raises:
        DataError: A run or checkpoint was trained with another tokenizer, or is a classifier.
        CheckpointError: The checkpoint is damaged, the run has no valid one, or its base is missing or has changed.
        FormatError: The weights are damaged, or are not those of a causal language model.
    """
    place = find_model(base)
    place.refuse_other_tokenizer(tokenizer_sha256)
    return load_model_at(place, merge=merge)


def load_model_at(place: ModelPlace, *, merge: bool = True) -> CausalModel:
    """Return the model at a place that is already found; see `load_base_model`."""
    if place.state is None:
        return load_pretrained(place.folder)
    if "labels" in place.fields:
        labels = ", ".join(map(str, place.fields["labels"]))
        raise DataError(f"{place.given}: a classifier of {labels}, not a language model")
    model = with_saved_weights(body_at(place), place)
    return merge_adapters(model, place.fields).requires_grad_(True) if merge else model


def body_at(place: ModelPlace) -> CausalModel:
    """Return a checkpoint's network before its own weights are loaded: with the base's weights, or random ones.

    Raises:
        CheckpointError: The base is missing or has changed.
    """
    if not isinstance(place.fields.get("base"), dict):
        return model_from_json(place.fields)
    path, sha256 = (str(place.fields["base"].get(name)) for name in ("path", "sha256"))
    where = resolved_path(path, place.run or place.folder)
    try:
        base = find_model(where)
    except (CheckpointError, FormatError, ConfigError) as error:
        raise CheckpointError(f"{place.folder}: holds an adapter; its base {where} cannot be read: {error}") from None
    if base_identity(base)["sha256"] != sha256:
        raise CheckpointError(f"{place.folder}: holds an adapter; its base {where} has other weights now")
    return load_model_at(base)


def base_identity(place: ModelPlace) -> dict[str, str]:
    """Return what a LoRA checkpoint records about its base: the path, and the SHA-256 of its weights."""
    if place.state is not None:
        return {"path": str(place.folder), "sha256": place.state["files"]["model.safetensors"]["sha256"]}
    digest = hashlib.sha256()
    for file in sorted(place.folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"path": place.given, "sha256": digest.hexdigest()}


def base_of(config: RunConfig) -> dict[str, str] | None:
    """Return path and SHA-256 of the base if only adapters are trained and saved; None if all weights are saved."""
    if config.base is None or not config.lora.r:
        return None
    return base_identity(find_model(config.base))


def with_saved_weights(model: Model, place: ModelPlace) -> Model:
    """Add a checkpoint's adapters to a model, and load its weights."""
    wrap_as_saved(model, place.fields)
    load_weights(place.folder, model, partial="base" in place.fields)
    return model


def starting_model(config: RunConfig, *, tokenizer_sha256: str) -> CausalModel:
    """Return the model that a run starts from: `config.base`, or random weights from `train.seed`.

    Raises:
        DataError: `config.base` was not trained with the tokenizer of this fingerprint.
        ConfigError: The model section has an unknown field or an invalid value.
        CheckpointError: `config.base` is a damaged checkpoint.
    """
    torch.manual_seed(config.train.seed)
    if config.base is not None:
        return load_base_model(config.base, tokenizer_sha256=tokenizer_sha256)
    return GPT2(model_shape(config))


def lora_config(settings: LoraSettings) -> LoraConfig | None:
    """Return the configuration of the adapters; None if all parameters are trained."""
    return LoraConfig(**settings.model_dump(exclude={"backend"})) if settings.r else None


def adapt(model: nn.Module, settings: LoraSettings) -> list[nn.Parameter]:
    """Add the adapters of the settings to `model`; return their parameters, or an empty list for rank 0."""
    lora = lora_config(settings)
    if lora is None:
        return []
    if settings.backend == "peft":
        return apply_peft(model, lora)
    return lora_parameters(apply_lora(model, lora))


def model_config_json(
    model: CausalModel, lora: LoraConfig | None = None, *, backend: str = "bytemill"
) -> dict[str, Any]:
    """Return the content of a checkpoint's config.json; `load_model` reads it too for a GPT-2 without adapters."""
    if isinstance(model, TransformersCausal):
        fields = {"format": "bytemill-transformers", "version": 1, "settings": model.settings()}
    else:
        fields = {"format": "bytemill-gpt2", "version": 1, **model.config.model_dump(mode="json")}
    if lora is None:
        return fields
    return {**fields, "lora": lora.model_dump(mode="json"), **({"lora_backend": backend} if backend == "peft" else {})}


def model_from_json(fields: Mapping[str, Any]) -> CausalModel:
    """Return the model of a config.json from `model_config_json`, with random weights and without adapters."""
    if fields.get("format") == "bytemill-transformers" and isinstance(fields.get("settings"), dict):
        return TransformersCausal.from_settings(fields["settings"])
    fields = with_added_fields(fields)
    missing = [name for name in GPT2Config.model_fields if name not in fields]
    if fields.get("format") != "bytemill-gpt2" or missing:
        found = f"lacks {', '.join(missing)}" if missing else f"has the format {fields.get('format')!r}"
        raise FormatError(f"config.json of the checkpoint is not one of bytemill's: it {found}")
    return GPT2(GPT2Config(**{name: fields[name] for name in GPT2Config.model_fields}))


def wrap_as_saved(model: Model, fields: Mapping[str, Any]) -> Model:
    """Add the adapters described in a config.json to the model."""
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
    """Merge the adapters described in a config.json into the weights."""
    if "lora" not in fields:
        return model
    return merge_peft(model) if fields.get("lora_backend") == "peft" else merge_lora(model, unwrap=True)
