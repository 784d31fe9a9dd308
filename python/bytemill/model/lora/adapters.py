"""Several adapters on one base: add them by name, switch between them, and disable them temporarily.

One base in memory serves many tasks: each adapter needs only its own small tensors, and switching is free. At most one
adapter is active at a time; it is also the one that is trained, merged and saved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from torch import nn

from bytemill.errors import ConfigError
from bytemill.model.lora.apply import active_updates, lora_layers, module_names, targeted_modules, wrap_module
from bytemill.model.lora.config import LoraConfig

__all__ = ["adapter_disabled", "adapter_names", "add_adapter", "rename_adapter", "set_adapter"]

Model = TypeVar("Model", bound=nn.Module)


def add_adapter(model: Model, name: str, config: LoraConfig) -> Model:
    """Add a new, inactive adapter to an adapted model; `set_adapter` activates it.

    Its rank and targets may differ from those of the existing adapters.

    Raises:
        ConfigError: The name is taken or invalid, the model has no adapter yet, or an adapter trains biases or whole
            modules, which belong to the shared base.

    >>> from bytemill.model.lora import apply_lora
    >>> model = apply_lora(nn.Sequential(nn.Linear(8, 4)), LoraConfig(r=2, target_modules="all-linear"))
    >>> adapter_names(add_adapter(model, "poems", LoraConfig(r=3, target_modules="all-linear")))
    ['default', 'poems']
    """
    names = adapter_names(model)
    if not names:
        raise ConfigError("the model has no adapter; add the first with apply_lora(model, config)")
    if name in names or not name or "." in name:
        raise ConfigError(f"{name!r} cannot name an adapter: it is empty, has a dot, or is one of {', '.join(names)}")
    if config.changes_base or any(update.config.changes_base for _, update in active_updates(model)):
        raise ConfigError(
            "bias, modules_to_save: adapters that share a base cannot train its biases or modules; "
            "give bias='none' and no modules_to_save"
        )
    active = _active_name(model)
    present = dict(lora_layers(model))
    for module_name in targeted_modules(model, config.target_modules):
        if module_name in present:
            present[module_name].add_update(name, config, module_names(model, module_name))
        else:
            wrap_module(model, module_name, config, name)
    return set_adapter(model, active)


def set_adapter(model: Model, name: str) -> Model:
    """Activate the adapter `name`: it is applied, trained, merged and saved; the others are inactive.

    A merged adapter is unmerged first.

    Raises:
        ConfigError: No adapter has this name; the message lists the names.
    """
    if name not in adapter_names(model):
        raise ConfigError(f"no adapter is named {name!r}; the adapters are {', '.join(adapter_names(model)) or 'none'}")
    for _, layer in lora_layers(model):
        if layer.active != name:
            layer.unmerge()
            layer.active = name
        for other, update in layer.updates.items():
            update.requires_grad_(other == name)
    return model


def rename_adapter(model: Model, name: str, new_name: str) -> Model:
    """Give an adapter another name, in place.

    Raises:
        ConfigError: No adapter is named `name`, or `new_name` is taken.
    """
    names = adapter_names(model)
    if name not in names or new_name in names:
        raise ConfigError(f"cannot rename {name!r} to {new_name!r}; the adapters are {', '.join(names) or 'none'}")
    for _, layer in lora_layers(model):
        if name in layer.updates:
            layer.updates[new_name] = layer.updates.pop(name)
        if layer.active == name:
            layer.active = new_name
    return model


def adapter_names(model: nn.Module) -> list[str]:
    """Return the adapters' names, in the order of their layers."""
    return list(dict.fromkeys(name for _, layer in lora_layers(model) for name in layer.updates))


@contextmanager
def adapter_disabled(model: nn.Module) -> Iterator[None]:
    """Disable the adapters inside `with`: the base alone is the reference model of preference tuning.

    A merged adapter is unmerged meanwhile. A model without adapters is unchanged.

    Raises:
        ConfigError: The adapter trains biases or whole modules of the base, so the base has changed.

    >>> import torch
    >>> from bytemill.model.lora import apply_lora
    >>> model = apply_lora(nn.Sequential(nn.Linear(2, 1)), LoraConfig(r=1, target_modules="all-linear"))
    >>> _ = nn.init.ones_(model[0].active_update.lora_B)
    >>> with adapter_disabled(model):
    ...     base = model(torch.ones(1, 2))
    >>> bool(base == model(torch.ones(1, 2)))
    False
    """
    for _, update in active_updates(model):
        if update.config.bias != "none":
            raise ConfigError(f"bias is {update.config.bias!r}: trained biases cannot be switched off; give 'none'")
        if update.config.modules_to_save:
            raise ConfigError("modules_to_save: modules that train in full cannot be switched off; give none")
    layers = [layer for _, layer in lora_layers(model) if layer.enabled]
    merged = [layer for layer in layers if layer.merged]
    for layer in layers:
        layer.unmerge()
        layer.enabled = False
    try:
        yield
    finally:
        for layer in layers:
            layer.enabled = True
        for layer in merged:
            layer.merge()


def _active_name(model: nn.Module) -> str:
    active = {layer.active for _, layer in lora_layers(model)} - {None}
    (name,) = active
    assert name is not None
    return name
