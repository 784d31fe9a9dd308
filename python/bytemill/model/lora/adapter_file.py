"""Save and load adapters in PEFT's format: adapter_config.json and adapter_model.safetensors.

An adapter of our GPT-2 is written under transformers' module names, so that PEFT can load it on a
`GPT2LMHeadModel`; A and B have the same shapes for `nn.Linear` and `Conv1D`, so nothing is transposed.
Modules that train in full (`modules_to_save`) are in the file in transformers' form. Reading checks every name and
shape
first: a file that does not match leaves the model unchanged.
"""

import re
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from bytemill.errors import FormatError
from bytemill.files import refuse_output_in_checkpoint
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import huggingface_module_names, their_view
from bytemill.model.lora.apply import active_updates, lora_layers, named_lora_parameters, saved_modules, wrap_modules
from bytemill.model.lora.config import LoraConfig
from bytemill.model.lora.layer import LoraLayer, is_linear, linear_weight
from bytemill.model.lora.peft_settings import read_peft_settings, written_peft_settings
from bytemill.model.weight_files import read_tensors, refuse_not_finite, write_json, write_tensors

__all__ = ["is_own_adapter", "load_adapter", "save_adapter"]

Model = TypeVar("Model", bound=nn.Module)

_CONFIG_FILE = "adapter_config.json"
_TENSOR_FILE = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_UPDATE_NAME = re.compile(r"\.updates\.[^.]+$")
_UPDATE_PARTS = ("lora_A", "lora_B", "lora_magnitude_vector")
_KEY = re.compile(
    r"base_model\.model\.(?P<module>.+?)(\.base_layer|\.modules_to_save(\.default)?)?"
    r"\.((?P<update>lora_[AB]|lora_magnitude_vector)(\.weight)?|(?P<plain>\w+))"
)


def save_adapter(model: nn.Module, folder: str | Path, *, base_model: str | None = None) -> None:
    """Write the active adapter of `model`, without its base, to `folder`, which is created if missing.

    Args:
        model: a model from `apply_lora`.
        folder: the folder for adapter_config.json and adapter_model.safetensors.
        base_model: name of the base's repository or folder, which PEFT's automatic classes need.
    """
    names = huggingface_module_names(model)
    tensors = _own_tensors(model, names)
    refuse_output_in_checkpoint(folder)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(tensors, folder / _TENSOR_FILE, metadata={"format": "pt"})
    write_json(written_peft_settings(model, names, base_model), folder / _CONFIG_FILE)


def load_adapter(model: Model, folder: str | Path) -> Model:
    """Load the adapter in `folder` into `model`, in place; return the model.

    A plain model is frozen and wrapped as by `apply_lora`. A model with an adapter of the same kind on the same layers
    gets new values. New layers are in training or evaluation mode as the model is.

    Raises:
        FormatError: a file is missing or damaged, or the adapter belongs to another base.
        ConfigError: the adapter uses a feature of PEFT that this LoRA does not have.
    """
    path = Path(folder) / _TENSOR_FILE
    config = read_peft_settings(Path(folder) / _CONFIG_FILE)
    tensors = _by_module(model, _read(path), path)
    config = config.model_copy(update={"modules_to_save": _saved_in_full(tensors)})
    _check_shapes(model, tensors, config, path)
    _prepare(model, [name for name, parts in tensors.items() if "lora_A" in parts], config, path)
    with torch.no_grad():
        for name, parts in tensors.items():
            for part, tensor in parts.items():
                _own_view(model, name, part).copy_(tensor)
    return model


def is_own_adapter(model: nn.Module, folder: str | Path) -> bool:
    """Return whether the adapter in `folder` has the same values as the active adapter of `model`.

    Raises:
        FormatError: its file is missing or damaged.
    """
    if not dict(active_updates(model)):
        return False
    own, given = _own_tensors(model, huggingface_module_names(model)), _read(Path(folder) / _TENSOR_FILE)
    return own.keys() == given.keys() and all(torch.equal(tensor.cpu(), given[key]) for key, tensor in own.items())


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file() and path.with_suffix(".bin").is_file():
        raise FormatError(
            f"{path.with_suffix('.bin')}: is a pickle, which cannot be read here; load it with peft and save it again "
            f"with save_pretrained, which writes {path.name}"
        )
    tensors = read_tensors(path)
    refuse_not_finite(tensors, path)
    return tensors


def _own_tensors(model: nn.Module, names: dict[str, str]) -> dict[str, Tensor]:
    """Return the adapter's tensors by PEFT's keys."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in named_lora_parameters(model):
        module, _, part = name.rpartition(".")
        module = _UPDATE_NAME.sub("", module)
        inner = ".base_layer" if module.endswith(".base_layer") else ""
        suffix = ".weight" if part in ("lora_A", "lora_B") else ""
        plain = module.removesuffix(inner)
        is_update = part in _UPDATE_PARTS
        key = f"{_PREFIX}{names[plain]}{inner}.{part}{suffix}"
        tensors[key] = parameter if is_update or inner else _own_view(model, plain, part)
    return tensors


def _own_view(model: nn.Module, name: str, part: str) -> Tensor:
    """Return a tensor of the adapter or of its base, in the form of the file."""
    adapted = dict(lora_layers(model)).get(name)
    if adapted is not None and part in _UPDATE_PARTS:
        tensor = getattr(adapted.active_update, part)
        assert isinstance(tensor, Tensor)
        return tensor
    name = name if adapted is None else f"{name}.base_layer"
    for place, gpt2 in model.named_modules():
        prefix = f"{place}." if place else ""
        if isinstance(gpt2, GPT2) and name.startswith(prefix):
            return their_view(gpt2, name.removeprefix(prefix), part)
    tensor = getattr(model.get_submodule(name), part)
    assert isinstance(tensor, Tensor)
    return tensor


def _by_module(model: nn.Module, tensors: dict[str, Tensor], path: Path) -> dict[str, dict[str, Tensor]]:
    """Return the file's tensors: name of our module -> attribute of it, or of its LoRA layer -> tensor."""
    our_names = {theirs: ours for ours, theirs in huggingface_module_names(model).items()}
    for place, module in model.named_modules():
        prefix = f"{place}." if place else ""
        if isinstance(module, GPT2):
            our_names.setdefault(f"{prefix}lm_head", f"{prefix}head")  # a head that may get a table from the file
    found: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _KEY.fullmatch(key)
        if match is None or match["module"] not in our_names:
            raise FormatError(f"{path}: {key} matches nothing in this model; the adapter may be for another base")
        found.setdefault(our_names[match["module"]], {})[match["update"] or match["plain"]] = tensor
    return found


def _saved_in_full(tensors: dict[str, dict[str, Tensor]]) -> tuple[str, ...]:
    """Return the modules that the file contains in full."""
    return tuple(name for name, parts in tensors.items() if "weight" in parts and "lora_A" not in parts)


def _check_shapes(model: nn.Module, tensors: dict[str, dict[str, Tensor]], config: LoraConfig, path: Path) -> None:
    needed = {"lora_A", "lora_B"} | ({"lora_magnitude_vector"} if config.use_dora else set())
    theirs = huggingface_module_names(model)
    for name, parts in tensors.items():
        given = parts.keys() & set(_UPDATE_PARTS)
        if given and given != needed:
            raise FormatError(f"{path}: {name} has {sorted(given)}; by {_CONFIG_FILE} it is {sorted(needed)}")
        rank = config.rank_of((name, theirs.get(name, name)))
        for part, tensor in parts.items():
            expected = _expected_shape(model, name, part, rank)
            if tuple(tensor.shape) != expected:
                raise FormatError(
                    f"{path}: {part} of {name} has shape {tuple(tensor.shape)}; with this base and "
                    f"r = {rank} it is {expected or 'not there'}"
                )


def _expected_shape(model: nn.Module, name: str, part: str, rank: int) -> tuple[int, ...]:
    """Return the expected shape; () for a tensor that the module cannot have."""
    if part not in _UPDATE_PARTS:
        try:
            return tuple(_own_view(model, name, part).shape)
        except (AttributeError, AssertionError):
            return ()
    module = model.get_submodule(name)
    layer = module.base_layer if isinstance(module, LoraLayer) else module
    if not is_linear(layer):
        return ()
    n_out, n_in = linear_weight(layer).shape
    return {"lora_A": (rank, n_in), "lora_B": (n_out, rank), "lora_magnitude_vector": (n_out,)}[part]


def _prepare(model: nn.Module, names: list[str], config: LoraConfig, path: Path) -> None:
    """Wrap a plain model; check that a wrapped one has the same kind of adapter on the same layers."""
    layers, present = dict(lora_layers(model)), dict(active_updates(model))
    if not layers:
        wrap_modules(model, names, config)
        return
    whole = {name for update in present.values() for name in saved_modules(model, update.config)}
    if present.keys() | whole != set(names) | set(config.modules_to_save):
        different = sorted((present.keys() | whole) ^ (set(names) | set(config.modules_to_save)))
        raise FormatError(f"{path}: adapts other layers than the model's adapter: {', '.join(different[:5])}")
    theirs = huggingface_module_names(model)
    for name, update in present.items():
        both = name, theirs[name]
        pairs = {
            "r": (config.rank_of(both), update.r),
            "scaling": (config.scaling_of(both), update.scaling),
            "use_dora": (config.use_dora, update.config.use_dora),
        }
        for field, (given, own) in pairs.items():
            if given != own:
                raise FormatError(f"{path}: {field} is {given}; the model's adapter has {own}")
        layers[name].unmerge()
