"""Import weights of other programs: transformers, nanoGPT, build-nanogpt, LLMs-from-scratch.

Each program has its own names for a GPT-2's tensors. This module converts them to transformers' names and shapes.
Values missing from a file come from the config.json next to it, from the program's defaults, or from the caller; a
guess is reported.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from bytemill.errors import ConfigError, FormatError
from bytemill.model.config import GPT2Config
from bytemill.model.folder import model_folder, refuse_tensorflow
from bytemill.model.from_scratch import FROM_SCRATCH, as_nanogpt_names
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import config_of_settings, from_huggingface, gpt2_of_tensors, unknown_setting
from bytemill.model.native import is_native, load_model
from bytemill.model.pickles import PICKLE_SUFFIXES, PickledWeights, read_pickle
from bytemill.model.pretrained import load_transformers
from bytemill.model.weight_files import read_json, read_tensors, refuse_not_finite, weight_shards

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bytemill.model.pretrained import CausalModel

__all__ = ["import_weights"]

Activation = Literal["gelu_new", "gelu"]

_LAYERS_OF_CONV1D = re.compile(r"^h\.\d+\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$")
_NOT_WEIGHTS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias|mask)")
_PUBLISHED_WIDTHS = (768, 1_024, 1_280, 1_600)
_HEAD_WIDTH = 64  # the head width in all of OpenAI's sizes
_WRAPPERS = re.compile(r"^((module|_orig_mod|_fsdp_wrapped_module|model)\.)+")
"""Prefixes that DistributedDataParallel, torch.compile, FSDP and Lightning add to names."""
_HEADS = ("n_head", "n_heads", "num_heads", "num_attention_heads")


def import_weights(
    source: str | Path,
    *,
    allow_pickle: bool = False,
    n_head: int | None = None,
    activation: Activation | None = None,
    say: Callable[[str], object] = lambda _: None,
) -> CausalModel:
    """Read a model from a folder or hub repository in Hugging Face's form, or a GPT-2 from one file of weights.

    Args:
        source: A folder, a repository, a `.safetensors` file, or a pickled `.bin`, `.pt`, `.pth` or `.ckpt`: a state
            dict of transformers, nanoGPT, build-nanogpt or LLMs-from-scratch, or a checkpoint of theirs.
        allow_pickle: Whether a pickle may be read.
        n_head: Attention heads. None means the value in the file or in the config.json next to it. Without these, heads
            of width 64 are assumed for OpenAI's model widths; for other widths the number must be given.
        activation: "gelu_new" (the tanh form) or "gelu" (exact). None means the form that the
            file's program uses.
        say: Called with one sentence for each guess.

    Raises:
        ConfigError: The file is a pickle, and `allow_pickle` is False; or the number of heads is not known.
        FormatError: The file is damaged, is not a GPT-2, or contains unknown tensors or NaN.
    """
    path = Path(source)
    refuse_tensorflow(path)
    chosen: dict[str, Any] = {"n_head": n_head, "activation_function": activation}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if path.is_file():
        model: CausalModel = _import_file(path, chosen, allow_pickle, say)
    else:
        model = _import_folder(model_folder(source, pickles=allow_pickle), chosen, allow_pickle)
    refuse_not_finite(model.state_dict(), source)
    return model


def _import_folder(folder: Path, chosen: dict[str, Any], allow_pickle: bool) -> CausalModel:
    """Import a folder with config.json and safetensors (or else pytorch_model.bin), in one file or in shards."""
    if is_native(folder):
        return load_model(folder)
    settings = read_json(folder / "config.json")
    tensors = None
    if not list(folder.glob("model*.safetensors*")) and list(folder.glob("pytorch_model*.bin*")):
        tensors = dict[str, Tensor]()
        for file in weight_shards(folder, "pytorch_model.bin"):
            tensors |= read_pickle(file, allowed=allow_pickle).tensors
    if unknown_setting(settings) is None:
        return from_huggingface(GPT2, folder, tensors=tensors, **chosen)
    return load_transformers(folder, settings, folder, tensors=tensors)


def _import_file(path: Path, chosen: dict[str, Any], allow_pickle: bool, say: Callable[[str], object]) -> CausalModel:
    if path.suffix == ".safetensors":
        if is_native(path.parent) and path.name == "model.safetensors":
            return load_model(path.parent)
        file = PickledWeights(read_tensors(path), {}, frozenset())
    elif path.suffix in PICKLE_SUFFIXES:
        file = read_pickle(path, allowed=allow_pickle)
    else:
        raise FormatError(f"{path}: expected a folder, .safetensors, {', '.join(PICKLE_SUFFIXES)}")
    tensors = {_WRAPPERS.sub("", name): tensor for name, tensor in file.tensors.items()}
    is_from_scratch = any(FROM_SCRATCH.match(name) for name in tensors)
    if is_from_scratch:
        try:
            tensors = as_nanogpt_names(tensors)
        except RuntimeError as error:
            raise FormatError(f"{path}: queries, keys and values have shapes that do not fit: {error}") from None
    tensors = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if not _NOT_WEIGHTS.fullmatch(name)}
    shape = _shape(tensors, path)
    is_turned = tensors["h.0.attn.c_attn.weight"].shape[0] != shape["n_embd"]
    near = _settings_near(path, shape["n_embd"])
    if near and not is_turned:
        config = config_of_settings(path.parent / "config.json", **chosen)
    else:
        fields: dict[str, Any] = {"activation_function": "gelu_new", **shape, **chosen}
        if "n_head" not in chosen:
            fields["n_head"] = _heads({**near, **file.settings}, shape["n_embd"], path, say)
        if is_turned and not is_from_scratch and "activation_function" not in chosen:
            fields["activation_function"] = _activation_of_nanogpt(file, path, say)
        config = GPT2Config(**fields)
    return gpt2_of_tensors(GPT2, config, _as_theirs(tensors, config, is_turned), path)


def _shape(tensors: dict[str, Tensor], path: Path) -> dict[str, Any]:
    """Return the configuration, as far as the shapes of the weights determine it."""
    try:
        vocab_size, n_embd = tensors["wte.weight"].shape
        n_positions = tensors["wpe.weight"].shape[0]
        n_inner = tensors["h.0.mlp.c_fc.weight"].numel() // n_embd
        _ = tensors["h.0.attn.c_attn.weight"].shape[0]
    except (KeyError, ValueError, IndexError, ZeroDivisionError):
        raise FormatError(f"{path}: contains no GPT-2: wte.weight, wpe.weight or h.0 are missing") from None
    head = tensors.get("lm_head.weight")
    if head is not None and len(head) != vocab_size:
        raise FormatError(f"{path}: its head gives {len(head)} scores for {vocab_size} ids: not a language model")
    return {
        "vocab_size": vocab_size,
        "n_positions": n_positions,
        "n_embd": n_embd,
        "n_layer": len({name.split(".")[1] for name in tensors if name.startswith("h.")}),
        "n_inner": n_inner,
        "qkv_bias": "h.0.attn.c_attn.bias" in tensors,
    }


def _settings_near(path: Path, n_embd: int) -> dict[str, Any]:
    """Return the config.json next to the file, if it is for a GPT-2 of this width."""
    place = path.parent / "config.json"
    settings = read_json(place) if place.is_file() else {}
    is_its_own = settings.get("model_type", "gpt2") == "gpt2" and settings.get("n_embd") == n_embd
    return settings if is_its_own and "format" not in settings else {}


def _heads(settings: Mapping[str, Any], n_embd: int, path: Path, say: Callable[[str], object]) -> int:
    known = next((settings[name] for name in _HEADS if isinstance(settings.get(name), int)), None)
    if known is not None:
        return int(known)
    if n_embd not in _PUBLISHED_WIDTHS:
        raise ConfigError(f"{path}: does not say how many attention heads the model has; give them (--heads)")
    say(f"{path}: does not say how many attention heads it has: {n_embd // _HEAD_WIDTH} assumed, as in OpenAI's")
    return n_embd // _HEAD_WIDTH


def _activation_of_nanogpt(file: PickledWeights, path: Path, say: Callable[[str], object]) -> Activation:
    """Return the activation: nanoGPT uses the exact GELU, build-nanogpt the tanh form; their files look alike."""
    if "model_args" in file.entries:
        return "gelu"
    if {"config", "step", "val_loss"} <= file.entries:
        return "gelu_new"
    say(f"{path}: does not say which GELU it uses: nanoGPT's exact one assumed; --activation gelu_new is GPT-2's own")
    return "gelu"


def _as_theirs(tensors: dict[str, Tensor], config: GPT2Config, is_turned: bool) -> dict[str, Tensor]:
    """Return the tensors in transformers' form: linear layers transposed, and zeros for missing biases."""
    theirs = {
        name: tensor.T if is_turned and _LAYERS_OF_CONV1D.search(name) else tensor for name, tensor in tensors.items()
    }
    for name, tensor in list(theirs.items()):
        bias = name.removesuffix("weight") + "bias"
        is_needed = name.endswith(".weight") and not name.startswith(("wte", "wpe", "lm_head"))
        if is_needed and bias not in theirs and (config.qkv_bias or "c_attn" not in name):
            theirs[bias] = torch.zeros(tensor.shape[-1])
    return theirs
