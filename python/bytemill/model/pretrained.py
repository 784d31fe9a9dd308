"""Load a pretrained causal language model from a folder or the hub: GPT-2 as ours, others from transformers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from bytemill.errors import ConfigError, FormatError
from bytemill.model.config import refuse_absurd_sizes
from bytemill.model.folder import model_folder
from bytemill.model.gpt2 import GPT2
from bytemill.model.huggingface import unknown_setting
from bytemill.model.native import is_native, load_model
from bytemill.model.transformers_causal import TransformersCausal
from bytemill.model.weight_files import check_weight_files, read_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from torch import Tensor

__all__ = ["CausalModel", "load_pretrained", "load_transformers"]

CausalModel = GPT2 | TransformersCausal

_SHOWN_TENSORS = 3


def load_pretrained(path_or_repo: str | Path) -> CausalModel:
    """Read a model in Hugging Face's form, or one that `save_model` wrote.

    Args:
        path_or_repo: A folder with config.json and safetensors, or a repository of the hub (extra `hf`).

    Returns:
        The model in fp32 on the CPU: a GPT2, or transformers' network with the same interface. A GPT-2 with a setting
        that ours does not support, such as another activation, is transformers' network too.

    Raises:
        FormatError: Files are missing or damaged, or the tensors are not those of the network.
        ConfigError: It is not a causal language model, or transformers is needed and not installed.
    """
    folder = model_folder(path_or_repo)
    if is_native(folder):
        return load_model(folder)
    settings = read_json(folder / "config.json")
    kind = settings.get("model_type", "gpt2")
    if kind in (None, "gpt2") and unknown_setting({**settings, "model_type": "gpt2"}) is None:
        _refuse_without_safetensors(folder, path_or_repo)
        return GPT2.from_huggingface(folder)
    return load_transformers(folder, settings, path_or_repo)


def load_transformers(
    folder: Path, settings: dict[str, Any], source: object, *, tensors: dict[str, Tensor] | None = None
) -> TransformersCausal:
    """Load a network of transformers; the weights must have exactly its tensors.

    Args:
        folder: A folder with config.json and, unless `tensors` is given, safetensors.
        settings: The contents of config.json.
        source: Name for errors.
        tensors: The weights under their names in files; None reads the folder's safetensors.

    Raises:
        FormatError: The weights are damaged, or a tensor is missing or unexpected; the message names it.
        ConfigError: transformers is not installed.
    """
    try:
        import transformers
    except ImportError:
        kind = settings.get("model_type")
        raise ConfigError(
            f"{source}: a model of type {kind!r} needs the package transformers: pip install 'bytemill[hf]'"
        ) from None
    refuse_absurd_sizes(settings, folder / "config.json")
    check_weight_files(folder)
    causal: Any = transformers.AutoModelForCausalLM
    try:
        given: dict[str, Any] = {"use_safetensors": True, "trust_remote_code": False}
        if tensors is not None:
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            given = {"state_dict": tensors, "config": config}
            with torch.device("meta"):
                causal = type(causal.from_config(config, trust_remote_code=False))
        with _without_warnings(transformers):  # its warnings are errors here
            network, report = causal.from_pretrained(
                folder if tensors is None else None,
                dtype=torch.float32,
                local_files_only=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **given,
            )
    except (ValueError, OSError, RuntimeError, SafetensorError) as error:
        if isinstance(error, OSError):
            _refuse_without_safetensors(folder, source)
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(f"{folder}: transformers cannot load it as a causal language model: {reason}") from None
    _refuse_other_tensors(report, type(network).__name__, folder)
    return TransformersCausal(network)


def _refuse_without_safetensors(folder: Path, source: object) -> None:
    if not any(folder.glob("model*.safetensors*")):
        raise FormatError(
            f"{source}: has no model.safetensors; import pickled weights with: "
            f"bytemill model import {source} FOLDER --allow-pickle"
        )


@contextmanager
def _without_warnings(transformers: Any) -> Iterator[None]:
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _refuse_other_tensors(report: dict[str, Any], kind: str, folder: Path) -> None:
    """Raise FormatError for tensors that transformers would fill randomly or ignore with a warning."""
    for mismatch in sorted(report["mismatched_keys"]):
        if isinstance(mismatch, str):  # transformers 4 omits the shapes
            raise FormatError(f"{folder}: {mismatch} has another shape than {kind} needs by config.json")
        name, there, here = mismatch
        shapes = f"shape {tuple(there)}, expected {tuple(here)}"
        raise FormatError(f"{folder}: {name} has {shapes}, which {kind} needs by config.json")
    if missing := report["missing_keys"]:
        raise FormatError(f"{folder}: the weights lack {_named(missing)}, which {kind} needs by config.json")
    if unexpected := report["unexpected_keys"]:
        raise FormatError(f"{folder}: the weights hold {_named(unexpected)}, which {kind} does not have by config.json")


def _named(tensors: Collection[str]) -> str:
    first = ", ".join(sorted(tensors)[:_SHOWN_TENSORS])
    rest = len(tensors) - _SHOWN_TENSORS
    return f"{first} and {rest} more tensors" if rest > 0 else first
