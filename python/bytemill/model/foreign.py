"""Weights of other programs: pickled state dicts (.bin, .pt, .pth) with GPT-2's names, of transformers and nanoGPT.

A pickle can run code when it is read. So none is read unless the caller says that it may be, and then only by
`torch.load(weights_only=True)`, which knows tensors and plain containers and refuses the rest.
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from bytemill.errors import ConfigError, FormatError
from bytemill.model.config import GPT2Config
from bytemill.model.huggingface import from_huggingface, gpt2_of_tensors
from bytemill.model.weight_files import read_tensors

if TYPE_CHECKING:
    from bytemill.model.gpt2 import GPT2

__all__ = ["import_weights"]

_SUFFIXES = (".bin", ".pt", ".pth")
_LAYERS_OF_CONV1D = re.compile(r"\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc|mlp\.c_proj)\.weight$")
_HEAD_WIDTH = 64  # of all of OpenAI's sizes


def import_weights(source: str | Path, *, allow_pickle: bool = False, n_head: int | None = None) -> GPT2:
    """Read a GPT-2 from a folder or hub repository in Hugging Face's form, or from one file of weights.

    Args:
        source: A folder, a repository, a `.safetensors` file, or a pickled `.bin`, `.pt` or `.pth`: a state dict under
            transformers' names, or a checkpoint of nanoGPT.
        allow_pickle: Whether a pickle may be read.
        n_head: Attention heads, which a bare state dict does not tell; if None, as many as are 64 wide.

    Raises:
        ConfigError: The file is a pickle, and `allow_pickle` is False.
        FormatError: It is damaged, holds more than tensors, or is not a GPT-2's.
    """
    path = Path(source)
    if path.is_dir() and not list(path.glob("model*.safetensors*")) and (path / "pytorch_model.bin").exists():
        tensors, _ = _state_dict(path / "pytorch_model.bin", allow_pickle)
        return from_huggingface(path, tensors=tensors)
    if not path.is_file():
        return from_huggingface(source)
    shape: dict[str, Any] = {}
    if path.suffix == ".safetensors":
        tensors = read_tensors(path)
    elif path.suffix in _SUFFIXES:
        tensors, shape = _state_dict(path, allow_pickle)
    else:
        raise FormatError(f"{path}: expected a folder, .safetensors, {', '.join(_SUFFIXES)}")
    tensors = {name.removeprefix("_orig_mod.").removeprefix("transformer."): t for name, t in tensors.items()}
    config = _config(tensors, shape, n_head, path)
    return gpt2_of_tensors(config, _as_theirs(tensors, config), path)


def _state_dict(path: Path, allow_pickle: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a pickle, and nanoGPT's `model_args` where they are with them."""
    if not allow_pickle:
        raise ConfigError(
            f"{path}: is a pickle, which can run code when it is read; allow it (--allow-pickle) if you trust its "
            "source, or convert it to safetensors there"
        )
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(f"{path}: damaged, or holds more than tensors ({reason})") from None
    shape: dict[str, Any] = {}
    if isinstance(loaded, dict) and isinstance(loaded.get("model"), dict):
        loaded, shape = loaded["model"], dict(loaded.get("model_args") or {})
    if not isinstance(loaded, dict) or not all(isinstance(tensor, Tensor) for tensor in loaded.values()):
        raise FormatError(f"{path}: expected a state dict, names to tensors")
    return loaded, shape


def _config(tensors: dict[str, Tensor], shape: dict[str, Any], n_head: int | None, path: Path) -> GPT2Config:
    """The shape of the model, told by the shapes of its weights and, for the heads, by nanoGPT's arguments."""
    try:
        vocab_size, n_embd = tensors["wte.weight"].shape
        n_positions = tensors["wpe.weight"].shape[0]
        inner = tensors["h.0.mlp.c_fc.weight"]
    except (KeyError, ValueError):
        raise FormatError(f"{path}: holds no GPT-2: wte.weight, wpe.weight or h.0 are missing") from None
    n_layer = len({name.split(".")[1] for name in tensors if name.startswith("h.")})
    return GPT2Config(
        vocab_size=vocab_size,
        n_positions=n_positions,
        n_embd=n_embd,
        n_layer=n_layer,
        n_head=n_head or int(shape.get("n_head", max(1, n_embd // _HEAD_WIDTH))),
        n_inner=inner.numel() // n_embd,
    )


def _as_theirs(tensors: dict[str, Tensor], config: GPT2Config) -> dict[str, Tensor]:
    """The tensors as transformers keeps them: nanoGPT's linear layers turned, the biases it leaves out as zeros."""
    turned = tensors["h.0.mlp.c_fc.weight"].shape[0] != config.n_embd
    theirs = {
        name: tensor.T if turned and _LAYERS_OF_CONV1D.search(f".{name}") else tensor
        for name, tensor in tensors.items()
    }
    for name, tensor in list(theirs.items()):
        bias = name.removesuffix("weight") + "bias"
        if bias not in theirs and not name.startswith(("wte", "wpe", "lm_head")) and name.endswith(".weight"):
            theirs[bias] = torch.zeros(tensor.shape[-1])
    return theirs
