"""Read and write GPT-2 in Hugging Face's format: one table of names, four kinds of weights transposed.

transformers keeps OpenAI's `Conv1D`, a linear layer whose weight is (in, out); ours are `nn.Linear`s with
(out, in). All names of both are in `_NAMES` and nowhere else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bytemill.errors import ConfigError, FormatError
from bytemill.files import refuse_output_in_checkpoint
from bytemill.model.config import GPT2Config
from bytemill.model.folder import model_folder
from bytemill.model.transformers_causal import NETWORK_PREFIX, TransformersCausal
from bytemill.model.weight_files import read_json, read_weights, write_json, write_tensors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bytemill.model.gpt2 import GPT2

__all__ = [
    "config_of_settings",
    "from_huggingface",
    "gpt2_of_tensors",
    "huggingface_module_names",
    "save_huggingface",
    "their_view",
    "unknown_setting",
]

# {} is the number of a block.
_NAMES = {
    "token_embedding": "transformer.wte",
    "position_embedding": "transformer.wpe",
    "blocks.{}.attention_norm": "transformer.h.{}.ln_1",
    "blocks.{}.attention.qkv": "transformer.h.{}.attn.c_attn",
    "blocks.{}.attention.projection": "transformer.h.{}.attn.c_proj",
    "blocks.{}.mlp_norm": "transformer.h.{}.ln_2",
    "blocks.{}.mlp.expand": "transformer.h.{}.mlp.c_fc",
    "blocks.{}.mlp.contract": "transformer.h.{}.mlp.c_proj",
    "final_norm": "transformer.ln_f",
    "head": "lm_head",
}

# transformers' names of activations, and our names for the same functions.
_ACTIVATIONS = {
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "gelu": "gelu",
    "gelu_python": "gelu",
}

# Settings of transformers' GPT2Config that change the arithmetic, and the values that we support.
_REQUIRED_SETTINGS: dict[str, tuple[object, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": tuple(_ACTIVATIONS),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
}

# Old checkpoints contain the causal mask as a weight.
_NOT_WEIGHTS = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")


def from_huggingface(
    network: type[GPT2], path_or_repo: str | Path, *, tensors: dict[str, Tensor] | None = None, **overrides: Any
) -> GPT2:
    """Read a GPT-2 from a folder with config.json and safetensors, or from the hub (extra `hf`).

    Args:
        network: the class of the model; a parameter, because that class imports this file.
        path_or_repo: a folder, or a repository such as "openai-community/gpt2".
        tensors: the weights under transformers' names; None reads the folder's safetensors.
        overrides: fields of `GPT2Config` to change, such as `resid_pdrop=0.0` or `pad_vocab_to=128`.

    Returns:
        The model in fp32 on the CPU; padded rows are zero.

    Raises:
        FormatError: files are missing or damaged, or the tensors do not match the configuration.
        ConfigError: the model uses something that this GPT-2 does not have, such as another activation.
    """
    folder = model_folder(path_or_repo)
    config = config_of_settings(folder / "config.json", **overrides)
    return gpt2_of_tensors(network, config, read_weights(folder) if tensors is None else tensors, folder)


def config_of_settings(path: Path, **overrides: Any) -> GPT2Config:
    """Return the configuration of a GPT-2 from a config.json of transformers.

    Raises:
        ConfigError: a setting needs something that this GPT-2 does not have; the message names it.
    """
    settings = read_json(path)
    if (unknown := unknown_setting(settings)) is not None:
        known = " or ".join(repr(value) for value in _REQUIRED_SETTINGS[unknown])
        raise ConfigError(f"{path}: {unknown} is {settings[unknown]!r}; this GPT-2 supports only {known}")
    fields = {name: settings[name] for name in GPT2Config.model_fields if name in settings}
    if "activation_function" in fields:
        fields["activation_function"] = _ACTIVATIONS[fields["activation_function"]]
    return GPT2Config(**{**fields, **overrides})


def unknown_setting(settings: Mapping[str, Any]) -> str | None:
    """Return the name of the first setting that this GPT-2 does not support, or None.

    >>> unknown_setting({"model_type": "gpt2", "activation_function": "relu"})
    'activation_function'
    """
    return next((name for name, known in _REQUIRED_SETTINGS.items() if settings.get(name, known[0]) not in known), None)


def gpt2_of_tensors(network: type[GPT2], config: GPT2Config, tensors: dict[str, Tensor], source: Path) -> GPT2:
    """Build a `network` from weights in transformers' form; `source` is named in errors.

    A head whose weights differ from the token embedding's keeps its own table, whatever `config` says.

    Raises:
        FormatError: a tensor is missing, unexpected, or has a shape that does not match the configuration.
    """
    tensors = {name: tensor for name, tensor in tensors.items() if not _NOT_WEIGHTS.fullmatch(name)}
    config = _with_head_of(tensors, config)
    with torch.device("meta"):  # skip random weights, which are replaced immediately
        model = network(config)
    given = [_take(tensors, name, view, source) for name, view in _their_views(model)]
    if tensors:
        raise FormatError(f"{source}: holds weights that a GPT-2 does not have: {', '.join(sorted(tensors)[:5])}")
    model.to_empty(device="cpu")  # only after all shapes are checked
    with torch.no_grad():
        model.token_embedding.weight.zero_()
        model.head_weight.zero_()
        for (_, view), tensor in zip(_their_views(model), given, strict=True):
            view.copy_(tensor)
    return model


def save_huggingface(model: GPT2, folder: str | Path, *, end_of_text_id: int | None = None) -> None:
    """Write config.json and model.safetensors as transformers' `GPT2LMHeadModel` reads them.

    Args:
        model: a plain GPT-2; adapters must be merged into it before.
        folder: created if missing.
        end_of_text_id: id at which transformers' `generate` stops; None for never.

    Raises:
        ArgumentError: `folder` is a run's checkpoint, which writing would damage.
    """
    refuse_output_in_checkpoint(folder)
    weights = dict(_their_views(model))
    if not model.config.qkv_bias:  # transformers has no such option, but zeros do the same
        for block in range(model.config.n_layer):
            weights[f"transformer.h.{block}.attn.c_attn.bias"] = torch.zeros(3 * model.config.n_embd)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(weights, folder / "model.safetensors", metadata={"format": "pt"})
    write_json(_settings(model.config, end_of_text_id), folder / "config.json")


def huggingface_module_names(model: nn.Module) -> dict[str, str]:
    """Map the name of each module of `model` to its name in transformers.

    Only modules inside a `GPT2` have two names, and only those with weights are in the table. A network of transformers
    loses the prefix that it has here. All other modules keep their names.

    >>> from bytemill.model.gpt2 import GPT2
    >>> model = GPT2(GPT2Config(vocab_size=9, n_positions=8, n_embd=4, n_layer=1, n_head=1))
    >>> huggingface_module_names(model)["blocks.0.attention.qkv"]
    'transformer.h.0.attn.c_attn'
    """
    names = {name: name for name, _ in model.named_modules()}
    for name, module in model.named_modules():
        if isinstance(getattr(module, "config", None), GPT2Config):
            prefix = f"{name}." if name else ""
            table = {prefix + ours: prefix + theirs for ours, theirs in _name_table(module.config.n_layer).items()}
            names |= {ours: theirs for ours, theirs in table.items() if ours in names}
        elif isinstance(module, TransformersCausal):
            inside = f"{name}.{NETWORK_PREFIX}" if name else NETWORK_PREFIX
            outside = f"{name}." if name else ""
            names |= {own: outside + own.removeprefix(inside) for own in names if own.startswith(inside)}
    return names


def their_view(model: GPT2, module_name: str, kind: str) -> Tensor:
    """Return a view of our weight or bias in transformers' form: Conv1D weights transposed, without padded rows.

    Args:
        model: A GPT-2.
        module_name: Our name of the module; "head" means the token embedding if the head is tied.
        kind: "weight" or "bias".
    """
    is_table = module_name in ("token_embedding", "head")
    module = model.token_embedding if module_name == "head" and model.head is None else model.get_submodule(module_name)
    tensor = getattr(module, kind).detach()
    assert isinstance(tensor, Tensor)
    if is_table:
        return tensor[: model.config.vocab_size]
    return tensor.T if kind == "weight" and isinstance(module, nn.Linear) else tensor


def _name_table(n_layer: int) -> dict[str, str]:
    return {ours.format(block): theirs.format(block) for block in range(n_layer) for ours, theirs in _NAMES.items()}


def _their_views(model: GPT2) -> Iterator[tuple[str, Tensor]]:
    """Return each tensor of their files as a view of ours: Conv1D weights transposed, without padded rows."""
    table = _name_table(model.config.n_layer)
    for name, _ in model.named_parameters():
        module_name, _, kind = name.rpartition(".")
        if module_name not in table:
            raise ConfigError(
                f"{name} is not part of a plain GPT-2; merge adapters with merge_lora(model, unwrap=True)"
            )
        yield f"{table[module_name]}.{kind}", their_view(model, module_name, kind)


def _take(tensors: dict[str, Tensor], name: str, view: Tensor, folder: Path) -> Tensor:
    # The files of OpenAI's models omit "transformer.".
    for known_name in (name, name.removeprefix("transformer.")):
        if known_name in tensors:
            tensor = tensors.pop(known_name)
            break
    else:
        raise FormatError(f"{folder}: the weights lack {name}, which config.json requires")
    if tensor.shape != view.shape:
        raise FormatError(
            f"{folder}: {known_name} has shape {tuple(tensor.shape)}, expected {tuple(view.shape)} by config.json"
        )
    return tensor


def _with_head_of(tensors: dict[str, Tensor], config: GPT2Config) -> GPT2Config:
    """Return the configuration for the weights' head; a copy of a tied embedding is dropped."""
    head = tensors.get("lm_head.weight")
    embedding = tensors.get("transformer.wte.weight", tensors.get("wte.weight"))
    if head is None or embedding is None or not config.tie_word_embeddings:
        return config
    if not torch.equal(head, embedding):
        return config.model_copy(update={"tie_word_embeddings": False})
    del tensors["lm_head.weight"]
    return config


def _settings(config: GPT2Config, end_of_text_id: int | None) -> dict[str, Any]:
    ours_alone = {"qkv_bias", "pad_vocab_to"}
    return {
        "architectures": ["GPT2LMHeadModel"],
        **{name: known[0] for name, known in _REQUIRED_SETTINGS.items()},
        **config.model_dump(exclude=ours_alone),
        "bos_token_id": end_of_text_id,
        "eos_token_id": end_of_text_id,
    }
