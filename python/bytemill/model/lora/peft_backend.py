"""Use the adapters of the package peft on our models, to repeat a run with them and compare."""

from typing import Any, TypeVar

from torch import nn

from bytemill.errors import ConfigError
from bytemill.model.lora.apply import targeted_modules
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import is_linear

__all__ = ["apply_peft", "merge_peft"]

Model = TypeVar("Model", bound=nn.Module)


def apply_peft(model: nn.Module, config: LoraConfig) -> list[nn.Parameter]:
    """Freeze `model` and add peft's adapters to the layers that ours would use; return the trained parameters.

    Raises:
        ConfigError: peft is not installed, or a target matches no linear layer.
    """
    names = targeted_modules(model, config.target_modules)
    was_training = model.training
    is_conv1d = [is_linear(model.get_submodule(n)) and hasattr(model.get_submodule(n), "nf") for n in names]
    settings = config.model_dump(exclude={"target_modules"})
    model.requires_grad_(False)
    peft = _peft()
    peft.inject_adapter_in_model(
        peft.LoraConfig(**settings, target_modules=names, fan_in_fan_out=all(is_conv1d)), model
    )
    model.train(was_training)  # peft's dropout is also on in a model in evaluation mode
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def merge_peft(model: Model) -> Model:
    """Merge peft's updates into the base's weights and remove its layers."""
    from peft.tuners.lora import LoraLayer

    for name, layer in [(name, layer) for name, layer in model.named_modules() if isinstance(layer, LoraLayer)]:
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.get_base_layer())
    return model


def _peft() -> Any:
    try:
        import peft
    except ImportError:
        raise ConfigError("lora.backend is 'peft', which is not installed: pip install 'bytemill[hf]'") from None
    return peft
