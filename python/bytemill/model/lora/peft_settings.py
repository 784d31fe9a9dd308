"""Read and write PEFT's adapter_config.json; settings that this LoRA does not support are refused."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from bytemill.errors import ConfigError
from bytemill.model.gpt2 import GPT2
from bytemill.model.lora.apply import active_updates, lora_layers, matching_names, saved_modules
from bytemill.model.lora.config import LoraConfig
from bytemill.model.transformers_causal import TransformersCausal
from bytemill.model.weight_files import read_json

__all__ = ["read_peft_settings", "written_peft_settings"]

# PEFT settings that change what an adapter computes and that we do not support: only these values are accepted.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),  # the others change the base too
    "layer_replication": (None,),
    "trainable_token_indices": (None,),
    "target_parameters": ([], None),
    "lora_bias": (False,),
    "use_qalora": (False,),
    "use_bdlora": (False, None),
    "alora_invocation_tokens": (None,),
    "arrow_config": (None,),
    "kasa_config": (None,),
    "monteclora_config": (None,),
    "velora_config": (None,),
    "ensure_weight_tying": (False, None),
}
# Settings about an adapter's origin and use; they do not change what it computes.
_OF_TRAINING = (
    "task_type",
    "auto_mapping",
    "peft_version",
    "base_model_name_or_path",
    "revision",
    "inference_mode",
    "exclude_modules",
    "fan_in_fan_out",
    "layers_to_transform",
    "layers_pattern",
    "megatron_config",
    "megatron_core",
    "loftq_config",
    "eva_config",
    "corda_config",
    "lora_ga_config",
    "runtime_config",
    "qalora_group_size",
    "enable_lora",  # in peft before 0.5
    "merge_weights",
)


def read_peft_settings(path: Path) -> LoraConfig:
    """Read an adapter_config.json.

    Raises:
        FormatError: The file is missing or damaged.
        ConfigError: A setting is unsupported or unknown; the message names it.
    """
    settings = read_json(path)
    for name, allowed in _NEUTRAL.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ConfigError(f"{path}: {name} is {settings[name]!r}; this LoRA supports only {allowed[0]!r}")
    known = {name: settings[name] for name in LoraConfig.model_fields if settings.get(name) is not None}
    for name, value in settings.items():
        if value and name not in (*known, *_NEUTRAL, *_OF_TRAINING):
            raise ConfigError(f"{path}: {name} is {value!r}, which is unknown here and may change the output")
    return LoraConfig(**known)


def written_peft_settings(model: nn.Module, names: Mapping[str, str], base_model: str | None) -> dict[str, Any]:
    """Return the adapter_config.json of the active adapter, with modules by transformers' names.

    Args:
        model: The model with the adapter.
        names: Names of its modules: ours -> transformers'.
        base_model: The base's repository or folder.
    """
    updates = dict(active_updates(model))
    config = next(iter(updates.values())).config
    theirs = [names[name] for name in updates]
    is_conv1d = any(isinstance(module, GPT2) for module in model.modules()) or any(
        layer.weight_is_transposed for _, layer in lora_layers(model)
    )
    settings = config.model_dump(mode="json")
    if config.target_modules != "all-linear" and not _means_same(config, names, theirs):
        settings["target_modules"] = theirs
    if config.rank_pattern:
        settings["rank_pattern"] = {names[name]: update.r for name, update in updates.items() if update.r != config.r}
    if config.alpha_pattern:
        settings["alpha_pattern"] = {
            names[name]: update.lora_alpha for name, update in updates.items() if update.lora_alpha != config.lora_alpha
        }
    if config.modules_to_save:
        settings["modules_to_save"] = [names[name] for name in saved_modules(model, config)]
    is_causal = isinstance(model, GPT2 | TransformersCausal) or type(model).__name__.endswith(
        ("ForCausalLM", "LMHeadModel")
    )
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM" if is_causal else None,
        "base_model_name_or_path": base_model,
        "inference_mode": True,
        "fan_in_fan_out": is_conv1d,
        **settings,
    }


def _means_same(config: LoraConfig, names: Mapping[str, str], theirs: list[str]) -> bool:
    """Return whether the config's targets match exactly these modules by transformers' names."""
    return matching_names(list(names.values()), config.target_modules) == set(theirs)
