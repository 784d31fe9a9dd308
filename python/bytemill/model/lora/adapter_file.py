"""Adapters on disk in PEFT's form: adapter_config.json and adapter_model.safetensors.

An adapter of our GPT-2 is written under transformers' module names, so that PEFT puts it on a
`GPT2LMHeadModel`; A and B have the same shapes for `nn.Linear` and `Conv1D`, so nothing is transposed.
Reading checks every name and shape first: a file that does not fit leaves the model as it was.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bytemill.errors import ConfigError, FormatError
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import huggingface_module_names
from bytemill.model.lora.apply import active_updates, lora_layers, met_names, named_lora_parameters, wrap_modules
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import LoraLayer, is_linear, linear_weight
from bytemill.model.transformers_causal import TransformersCausal
from bytemill.model.weight_files import read_json, read_tensors, write_json, write_tensors

__all__ = ["load_adapter", "save_adapter"]

Model = TypeVar("Model", bound=nn.Module)

_CONFIG_FILE = "adapter_config.json"
_TENSOR_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_UPDATE_NAME = re.compile(r"\.updates\.[^.]+$")
_KEY = re.compile(
    r"base_model\.model\.(?P<module>.+?)(\.base_layer)?"
    r"\.(?P<part>lora_[AB](?=\.weight$)|lora_magnitude_vector|bias)(\.weight)?"
)

# PEFT settings that change what an adapter computes and that we do not have: only these values will do.
_NEUTRAL: dict[str, tuple[object, ...]] = {
    "peft_type": ("LORA",),
    "init_lora_weights": (True, False, "gaussian", "orthogonal", "eva"),  # the others change the base too
    "rank_pattern": ({}, None),
    "alpha_pattern": ({}, None),
    "modules_to_save": ([], None),
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
}


def save_adapter(model: nn.Module, folder: str | Path, *, base_model: str | None = None) -> None:
    """Write the adapter at work on `model`, and nothing of its base, into `folder`, which is made if missing.

    Args:
        model: what `apply_lora` gave.
        folder: gets adapter_config.json and adapter_model.safetensors.
        base_model: name of the base's repository or folder, which PEFT's automatic classes ask for.
    """
    names = huggingface_module_names(model)
    tensors = {_file_key(name, names): parameter for name, parameter in named_lora_parameters(model)}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(tensors, folder / _TENSOR_FILE, metadata={"format": "pt"})
    write_json(_settings(model, names, base_model), folder / _CONFIG_FILE)


def load_adapter(model: Model, folder: str | Path) -> Model:
    """Put the adapter in `folder` on `model`, in place; return the model.

    A plain model is frozen and wrapped as by `apply_lora`; one with an adapter of the same kind on the same
    layers gets new values.

    Raises:
        FormatError: a file is missing or damaged, or the adapter belongs to another base.
        ConfigError: the adapter uses something of PEFT's that this LoRA does not have.
    """
    path = Path(folder) / _TENSOR_FILE
    config = _read_config(Path(folder) / _CONFIG_FILE)
    tensors = _by_module(model, read_tensors(path), path)
    _check_shapes(model, tensors, config, path)
    _prepare(model, [name for name, parts in tensors.items() if "lora_A" in parts], config, path)
    with torch.no_grad():
        for name, parts in tensors.items():
            for part, tensor in parts.items():
                _own_tensor(model.get_submodule(name), part).copy_(tensor)
    return model


def _own_tensor(module: nn.Module, part: str) -> Tensor:
    update = module.update if isinstance(module, LoraLayer) else None
    tensor = getattr(module if update is None or part == "bias" else update, part)
    assert isinstance(tensor, Tensor)
    return tensor


def _file_key(name: str, names: dict[str, str]) -> str:
    """PEFT's key of a parameter: "blocks.0.attention.qkv.updates.default.lora_A" is one of its modules' weight."""
    module, _, part = name.rpartition(".")
    module = _UPDATE_NAME.sub("", module)
    inner = ".base_layer" if module.endswith(".base_layer") else ""
    suffix = ".weight" if part in ("lora_A", "lora_B") else ""
    return f"{_PREFIX}{names[module.removesuffix(inner)]}{inner}.{part}{suffix}"


def _by_module(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """The file's tensors: name of our module -> attribute of it, or of its LoRA layer -> tensor."""
    our_names = {theirs: ours for ours, theirs in huggingface_module_names(model).items()}
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or match["module"] not in our_names:
            raise FormatError(f"{path}: {key} belongs to nothing in this model; is it for another base?")
        found.setdefault(our_names[match["module"]], {})[match["part"]] = tensor
    return found


def _check_shapes(model: nn.Module, tensors: dict[str, dict[str, Tensor]], config: LoraConfig, path: Path) -> None:
    needed = {"lora_A", "lora_B"} | ({"lora_magnitude_vector"} if config.use_dora else set())
    for name, parts in tensors.items():
        given = parts.keys() - {"bias"}
        if given and given != needed:
            raise FormatError(f"{path}: {name} has {sorted(given)}; by {_CONFIG_FILE} it is {sorted(needed)}")
        module = model.get_submodule(name)
        for part, tensor in parts.items():
            expected = _expected_shape(module, part, config)
            if tuple(tensor.shape) != expected:
                raise FormatError(
                    f"{path}: {part} of {name} has shape {tuple(tensor.shape)}; with this base and "
                    f"r = {config.r} it is {expected or 'not there'}"
                )


def _expected_shape(module: nn.Module, part: str, config: LoraConfig) -> tuple[int, ...]:
    """() for what the module cannot have."""
    layer = module.base_layer if isinstance(module, LoraLayer) else module
    if part == "bias":
        bias = getattr(layer, "bias", None)
        return tuple(bias.shape) if isinstance(bias, Tensor) else ()
    if not is_linear(layer):
        return ()
    n_out, n_in = linear_weight(layer).shape
    return {"lora_A": (config.r, n_in), "lora_B": (n_out, config.r), "lora_magnitude_vector": (n_out,)}[part]


def _prepare(model: nn.Module, names: list[str], config: LoraConfig, path: Path) -> None:
    """Wrap a plain model; of a wrapped one make sure that the same layers carry the same kind of adapter."""
    layers, present = dict(lora_layers(model)), dict(active_updates(model))
    if not layers:
        wrap_modules(model, names, config)
        return
    if present.keys() != set(names):
        different = sorted(present.keys() ^ set(names))
        raise FormatError(f"{path}: adapts other layers than the model's adapter: {', '.join(different[:5])}")
    for name, update in present.items():
        for field in ("r", "scaling", "use_dora"):
            if getattr(update.config, field) != getattr(config, field):
                raise FormatError(
                    f"{path}: {field} is {getattr(config, field)}; the model's adapter has "
                    f"{getattr(update.config, field)}"
                )
        layers[name].unmerge()


def _read_config(path: Path) -> LoraConfig:
    settings = read_json(path)
    for name, allowed in _NEUTRAL.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ConfigError(f"{path}: {name} is {settings[name]!r}; this LoRA can only do {allowed[0]!r}")
    known = {name: settings[name] for name in LoraConfig.model_fields if name in settings}
    return LoraConfig(**known)


def _settings(model: nn.Module, names: dict[str, str], base_model: str | None) -> dict[str, Any]:
    updates = dict(active_updates(model))
    config = next(iter(updates.values())).config
    theirs = [names[name] for name in updates]
    is_conv1d = any(isinstance(module, GPT2) for module in model.modules()) or any(
        layer.weight_is_transposed for _, layer in lora_layers(model)
    )
    settings = config.model_dump(mode="json")
    if config.target_modules != "all-linear" and not _means_same(config, names, theirs):
        settings["target_modules"] = theirs
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


def _means_same(config: LoraConfig, names: dict[str, str], theirs: list[str]) -> bool:
    """Whether the config's targets, read with transformers' names alone, mean just these modules."""
    return met_names(list(names.values()), config.target_modules) == set(theirs)
