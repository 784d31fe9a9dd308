"""A pretrained causal language model from a folder or the hub: GPT-2 as ours, all others as transformers' own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bytemill.errors import ConfigError, FormatError
from bytemill.model.config import refuse_absurd_sizes
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import from_huggingface, model_folder
from bytemill.model.native import is_native, load_model
from bytemill.model.transformers_causal import TransformersCausal
from bytemill.model.weight_files import check_weight_files, read_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CausalModel", "load_pretrained"]

CausalModel = GPT2 | TransformersCausal


def load_pretrained(path_or_repo: str | Path) -> CausalModel:
    """Read a model in Hugging Face's form, or one that `save_model` wrote.

    Args:
        path_or_repo: A folder with config.json and safetensors, or a repository of the hub (extra `hf`).

    Returns:
        In fp32 on the CPU: a GPT2, or transformers' network behind the same face.

    Raises:
        FormatError: Files are missing or damaged.
        ConfigError: It is no causal language model, or transformers is needed and not installed.
    """
    folder = model_folder(path_or_repo)
    if is_native(folder):
        return load_model(folder)
    settings = read_json(folder / "config.json")
    kind = settings.get("model_type")
    if kind in (None, "gpt2"):
        return from_huggingface(folder)
    try:
        import transformers
    except ImportError:
        raise ConfigError(
            f"{path_or_repo}: a model of type {kind!r} needs the package transformers: pip install 'bytemill[hf]'"
        ) from None
    refuse_absurd_sizes(settings, folder / "config.json")
    check_weight_files(folder)
    try:
        network = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except (ValueError, OSError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(f"{folder}: transformers cannot load it as a causal language model: {reason}") from None
    return TransformersCausal(network)
