"""Add adapters to a model, merge them into it, and unmerge them.

    freeze every parameter of the model
    replace each targeted linear layer by LoraLayer(layer)

Read `apply_lora`, `wrap_modules`, `wrap_module` and `merge_lora`; the rest finds modules by name and unties shared
weights. Inside our GPT-2 a module has two names, ours and transformers': "qkv" and "c_attn" mean the same layers.
"""

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TypeVar

from torch import nn

from bytemill._core import matches_whole
from bytemill.errors import ArgumentError, ConfigError
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import huggingface_module_names
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import DEFAULT_ADAPTER, LoraLayer, LowRankUpdate, is_linear
from bytemill.model.transformers_causal import TransformersCausal

__all__ = [
    "active_updates",
    "apply_lora",
    "lora_layers",
    "lora_parameters",
    "matching_names",
    "merge_lora",
    "module_names",
    "named_lora_parameters",
    "saved_modules",
    "targeted_modules",
    "unmerge_lora",
    "wrap_module",
    "wrap_modules",
]

Model = TypeVar("Model", bound=nn.Module)


def apply_lora(model: Model, config: LoraConfig) -> Model:
    """Freeze `model` and add an adapter to each targeted layer, in place; return the model.

    It works on any module and any device, including the meta device (for counting).

    Raises:
        ConfigError: a target matches no linear layer, the model already has an adapter, or a targeted weight is shared
            with another module, which would change too.

    >>> model = apply_lora(nn.Sequential(nn.Linear(8, 4)), LoraConfig(r=2, target_modules="all-linear"))
    >>> [tuple(parameter.shape) for parameter in lora_parameters(model)]
    [(2, 8), (4, 2)]
    """
    if any(True for _ in lora_layers(model)):
        raise ConfigError(
            "the model already has an adapter; use add_adapter(model, name, config) for one more, or "
            "merge_lora(model, unwrap=True)"
        )
    return wrap_modules(model, targeted_modules(model, config.target_modules), config)


def wrap_modules(model: Model, names: list[str], config: LoraConfig) -> Model:
    """Wrap modules as `apply_lora` does, given their full names in `model`."""
    _untie_gpt2(model, config)
    saved = saved_modules(model, config)
    model.requires_grad_(False)
    for name in (*saved, *names):
        _give_own_weights(model, name)
    for name in names:
        wrap_module(model, name, config)
    for parameter in _trained_in_base(model, config):
        parameter.requires_grad_(True)
    return model


def wrap_module(model: nn.Module, name: str, config: LoraConfig, adapter: str = DEFAULT_ADAPTER) -> None:
    """Replace one linear layer by a `LoraLayer`."""
    names = module_names(model, name)
    _replace(model, name, LoraLayer(model.get_submodule(name), config, adapter, names))


def module_names(model: nn.Module, name: str) -> tuple[str, ...]:
    """Return a module's name in `model`, and its name in transformers."""
    return name, huggingface_module_names(model)[name]


def saved_modules(model: nn.Module, config: LoraConfig) -> list[str]:
    """Return the full names of the modules in `modules_to_save`, which train in full.

    Raises:
        ConfigError: A name matches no module, or a module with a linear layer that gets an adapter.
    """
    other_names = huggingface_module_names(model)
    saved: list[str] = []
    for wanted in config.modules_to_save:
        found = [name for name, other_name in other_names.items() if matching_names([name, other_name], (wanted,))]
        if not found:
            raise ConfigError(f"modules_to_save: {wanted!r} matches no module of this model")
        saved += found
    return list(dict.fromkeys(saved))


def lora_layers(model: nn.Module) -> Iterator[tuple[str, LoraLayer]]:
    """Yield the adapted layers with their names."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer):
            yield name, module


def active_updates(model: nn.Module) -> Iterator[tuple[str, LowRankUpdate]]:
    """Yield the updates of the active adapter, with the names of their layers."""
    for name, layer in lora_layers(model):
        if layer.active_update is not None:
            yield name, layer.active_update


def lora_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Return the trained parameters of the active adapter: A, B, DoRA's magnitudes, biases and whole modules."""
    return [parameter for _, parameter in named_lora_parameters(model)]


def named_lora_parameters(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield the adapter's parameters with their names in the model, including trained biases and modules."""
    updates = dict(active_updates(model))
    if not updates:
        raise ConfigError("the model has no adapter; call apply_lora(model, config) first")
    config = next(iter(updates.values())).config
    in_base = {id(parameter) for parameter in _trained_in_base(model, config)}
    adapters = {id(parameter) for update in updates.values() for parameter in update.parameters()}
    for name, parameter in model.named_parameters():
        if id(parameter) in adapters | in_base:
            yield name, parameter


def merge_lora(model: Model, *, unwrap: bool = False) -> Model:
    """Merge the updates into the base's weights, in place, so that the adapter adds no work.

    With `unwrap` the adapter is also removed: the result is a plain model, which can be exported.
    """
    for name, layer in list(lora_layers(model)):
        layer.merge()
        if unwrap:
            _replace(model, name, layer.base_layer)
    return model


def unmerge_lora(model: Model) -> Model:
    """Undo `merge_lora`, in place, within rounding."""
    for _, layer in lora_layers(model):
        layer.unmerge()
    return model


def targeted_modules(model: nn.Module, targets: tuple[str, ...] | str) -> list[str]:
    """Return the full names of the layers that match `targets`, in the model's order; see `LoraConfig`.

    An adapted layer counts as its base layer.
    """
    other_names = huggingface_module_names(model)
    linears = [name.removesuffix(".base_layer") for name, module in model.named_modules() if name and is_linear(module)]
    if targets == "all-linear":
        not_wanted = _output_heads(model) | _shared(model, linears)
        return _refuse_empty([name for name in linears if name not in not_wanted], targets, linears)
    chosen: set[str] = set()
    if isinstance(targets, str):
        # A pattern of full names. A last part, such as c_attn, is also accepted; as a pattern it matches nothing.
        found = _matching_linears(linears, other_names, targets) or _matching_linears(linears, other_names, (targets,))
        chosen.update(_refuse_empty(found, targets, linears))
    else:
        for target in targets:
            found = _matching_linears(linears, other_names, (target,))
            chosen.update(_refuse_empty(found, target, linears))
    for name in sorted(chosen & _shared(model, linears)):
        raise ConfigError(f"target_modules: {name} shares its weight with another module, which must not change")
    return [name for name in linears if name in chosen]


def matching_names(names: Sequence[str], target: tuple[str, ...] | str) -> set[str]:
    """Return the module names that match: a pattern in full, or one of several names or last parts.

    Raises:
        ConfigError: The pattern is not a valid regular expression, or takes too long.
    """
    if not isinstance(target, str):
        return {name for name in names if any(name == part or name.endswith(f".{part}") for part in target)}
    try:
        return {name for name, matches in zip(names, matches_whole(target, names), strict=True) if matches}
    except ArgumentError as error:
        raise ConfigError(f"target_modules: {error}") from None


def _matching_linears(linears: list[str], other_names: dict[str, str], target: tuple[str, ...] | str) -> list[str]:
    """Return the linear layers of which one of the two names matches."""
    found = matching_names(linears, target)
    found_by_other_name = matching_names([other_names[name] for name in linears], target)
    return [name for name in linears if name in found or other_names[name] in found_by_other_name]


def _refuse_empty(found: list[str], target: str, linears: list[str]) -> list[str]:
    """Return `found`; raise ConfigError if it is empty."""
    if not found:
        kinds = sorted({name.rpartition(".")[2] for name in linears})
        raise ConfigError(
            f"target_modules: {target!r} matches no linear layer of this model; "
            f"it has {', '.join(kinds) or 'none at all'}"
        )
    return found


def _output_heads(model: nn.Module) -> set[str]:
    """Return the names of the output embeddings of transformers' models."""
    head = getattr(model, "get_output_embeddings", lambda: None)()
    return {name for name, module in model.named_modules() if module is head}


def _shared(model: nn.Module, linears: list[str]) -> set[str]:
    """Return layers that share their weight with another module, as a tied head does with the embedding."""
    owners = Counter(id(weight) for module in model.modules() for weight in module.parameters(recurse=False))

    def weight(name: str) -> object:
        module = model.get_submodule(name)
        return (module.base_layer if isinstance(module, LoraLayer) else module).weight

    return {name for name in linears if owners[id(weight(name))] > 1}


def _untie_gpt2(model: nn.Module, config: LoraConfig) -> None:
    """Give each GPT-2 whose embedding or head trains in full its own head, as peft does."""
    for place, module in list(model.named_modules()):
        prefix = f"{place}." if place else ""
        tables = [prefix + name for name in ("token_embedding", "transformer.wte", "head", "lm_head")]
        if isinstance(module, GPT2) and matching_names(tables, config.modules_to_save):
            module.untie_head()


def _give_own_weights(model: nn.Module, name: str) -> None:
    """Untie a module whose weights are shared, so that training it changes nothing else."""
    module = model.get_submodule(name)
    own = {id(parameter) for parameter in module.parameters()}
    inside = {id(part) for part in module.modules()}
    others = (part for part in model.modules() if id(part) not in inside)
    if any(id(parameter) in own for part in others for parameter in part.parameters(recurse=False)):
        _replace(model, name, copy.deepcopy(module))
    for part in model.modules():
        if isinstance(part, TransformersCausal):
            part.note_untied_head()


def _trained_in_base(model: nn.Module, config: LoraConfig) -> list[nn.Parameter]:
    """Return the biases and whole modules that train with the adapter."""
    whole = [model.get_submodule(name) for name in saved_modules(model, config)]
    return [*_trained_biases(model, config), *(parameter for module in whole for parameter in module.parameters())]


def _trained_biases(model: nn.Module, config: LoraConfig) -> list[nn.Parameter]:
    if config.bias == "all":
        return [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
    if config.bias == "lora_only":
        return [layer.bias for _, layer in lora_layers(model) if layer.bias is not None]
    return []


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
