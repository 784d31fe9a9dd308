"""Load adapters onto a base that is already in memory, so that one base answers as several tuned models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.errors import CheckpointError, ConfigError
from bytemill.model.lora import LoraConfig, add_adapter, apply_lora, load_adapter, rename_adapter, set_adapter
from bytemill.model.lora.adapters import adapter_names
from bytemill.model.lora.layer import DEFAULT_ADAPTER
from bytemill.model.lora.peft_settings import read_peft_settings
from bytemill.tasks.base_model import base_identity
from bytemill.tasks.model_place import ModelPlace, find_model
from bytemill.train.run.tensors import load_weights

if TYPE_CHECKING:
    from bytemill.tasks.usable_model import UsableModel

__all__ = ["attach_adapter", "find_adapter"]

_PEFT_SETTINGS = "adapter_config.json"


def find_adapter(given: str) -> ModelPlace:
    """Find an adapter: a LoRA run, one of its checkpoints, or a folder in PEFT's format.

    Raises:
        CheckpointError: The checkpoint is damaged.
        ConfigError: It is a whole model, or an adapter that cannot share its base.
        FormatError: There is nothing of this name.
    """
    if (Path(given) / _PEFT_SETTINGS).is_file():
        return ModelPlace(given, Path(given))
    place = find_model(given)
    if "lora" not in place.fields or "base" not in place.fields:
        raise ConfigError(f"{given}: is not an adapter but a whole model; serve it as a model of its own")
    if place.fields.get("lora_backend") == "peft":
        raise ConfigError(f"{given}: was trained with peft's layers; serve it as a model of its own")
    return place


def attach_adapter(base: UsableModel, place: ModelPlace, name: str) -> None:
    """Add an adapter to the base's network, in place; `set_adapter` activates it.

    Args:
        base: The model; its weights do not change.
        place: See `find_adapter`.
        name: Name for the adapter, without dots.

    Raises:
        CheckpointError: The run was tuned from other weights than the base's.
        DataError: The run was trained with another tokenizer.
        ConfigError: The adapter trains biases or whole modules of the base, so the base cannot be shared.
        FormatError: The adapter's file is damaged, or does not match the base.
    """
    place.refuse_other_tokenizer(base.tokenizer)
    if place.state is not None and base_identity(base.place)["sha256"] != place.fields["base"].get("sha256"):
        raise CheckpointError(
            f"{place.given}: was tuned from {place.fields['base'].get('path')}, whose weights are not those of "
            f"{base.place.given}; serve it with its own base"
        )
    config = _config_of(place)
    if config.changes_base:
        raise ConfigError(
            f"{place.given}: trained biases or whole modules of its base, which other adapters share; "
            "serve it as a model of its own"
        )
    model = base.model
    if adapter_names(model):
        add_adapter(model, name, config)
    else:
        rename_adapter(apply_lora(model, config), DEFAULT_ADAPTER, name)
    set_adapter(model, name)
    if place.state is None:
        load_adapter(model, place.folder)
    else:
        load_weights(place.folder, model, partial=True, adapter=name)


def _config_of(place: ModelPlace) -> LoraConfig:
    if place.state is None:
        return read_peft_settings(place.folder / _PEFT_SETTINGS)
    return LoraConfig(**place.fields["lora"])
