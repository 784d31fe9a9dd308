"""GPT-2 in and out of Hugging Face's form: one table of names, four kinds of weights transposed.

transformers keeps OpenAI's `Conv1D`, a linear layer whose weight is (in, out); ours are `nn.Linear`s with
(out, in). All names of ours and theirs stand in `_NAMES` and nowhere else.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bytemill.errors import ConfigError, FormatError
from bytemill.model.config import GPT2Config
from bytemill.model.gpt2 import GPT2
from bytemill.model.transformers_causal import NETWORK_PREFIX, TransformersCausal
from bytemill.model.weight_files import read_json, read_tensors, write_json, write_tensors

__all__ = ["from_huggingface", "gpt2_of_tensors", "huggingface_module_names", "model_folder", "save_huggingface"]

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
}

# Settings of transformers' GPT2Config that change the arithmetic, and the values that are ours.
_REQUIRED_SETTINGS: dict[str, tuple[object, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
    "add_cross_attention": (False,),
    "tie_word_embeddings": (True,),
}

_HUB_FILES = ["config.json", "generation_config.json", "model*.safetensors*", "tokenizer.json"]

# Old checkpoints carry the causal mask as if it were a weight.
_NOT_WEIGHTS = re.compile(r"(transformer\.)?h\.\d+\.attn\.(bias|masked_bias)")


def from_huggingface(path_or_repo: str | Path, *, tensors: dict[str, Tensor] | None = None, **overrides: Any) -> GPT2:
    """Read a GPT-2 from a folder with config.json and safetensors, or from the hub (extra `hf`).

    Args:
        path_or_repo: a folder, or a repository such as "openai-community/gpt2".
        tensors: the weights under their names there; if None, those of the folder's safetensors.
        overrides: fields of `GPT2Config` to change, such as `resid_pdrop=0.0` or `pad_vocab_to=128`.

    Returns:
        The model in fp32 on the CPU; padded rows are zero.

    Raises:
        FormatError: files are missing, damaged or hold other tensors than the configuration says.
        ConfigError: the model does what this GPT-2 cannot, such as another activation.
    """
    folder = model_folder(path_or_repo)
    config = _config_from_settings(folder / "config.json", overrides)
    return gpt2_of_tensors(config, _read_weights(folder) if tensors is None else tensors, folder)


def gpt2_of_tensors(config: GPT2Config, tensors: dict[str, Tensor], source: Path) -> GPT2:
    """Build a model from weights in transformers' form; `source` is named in errors.

    Raises:
        FormatError: a tensor is missing, too many, or of another shape than the configuration says.
        ConfigError: the output head is not the token embedding.
    """
    tensors = _weights_alone(tensors, source)
    with torch.device("meta"):  # no time for random weights that are replaced at once
        model = GPT2(config)
    given = [_take(tensors, name, view, source) for name, view in _their_views(model)]
    if tensors:
        raise FormatError(f"{source}: holds weights that a GPT-2 does not have: {', '.join(sorted(tensors)[:5])}")
    model.to_empty(device="cpu")  # only now that all shapes are those of the weights
    with torch.no_grad():
        model.token_embedding.weight.zero_()
        for (_, view), tensor in zip(_their_views(model), given, strict=True):
            view.copy_(tensor)
    return model


def save_huggingface(model: GPT2, folder: str | Path, *, end_of_text_id: int | None = None) -> None:
    """Write config.json and model.safetensors as transformers' `GPT2LMHeadModel` reads them.

    Args:
        model: a plain GPT-2; adapters must be merged into it before.
        folder: made if missing.
        end_of_text_id: where transformers' `generate` is to stop; None for never.
    """
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

    Only what lies inside a `GPT2` has two names, and only its modules with weights are in the table; a network of
    transformers loses the prefix that it has in here; all other modules keep their names.

    >>> model = GPT2(GPT2Config(vocab_size=9, n_positions=8, n_embd=4, n_layer=1, n_head=1))
    >>> huggingface_module_names(model)["blocks.0.attention.qkv"]
    'transformer.h.0.attn.c_attn'
    """
    names = {name: name for name, _ in model.named_modules()}
    for name, module in model.named_modules():
        if isinstance(module, GPT2):
            prefix = f"{name}." if name else ""
            names |= {prefix + ours: prefix + theirs for ours, theirs in _name_table(module.config.n_layer).items()}
        elif isinstance(module, TransformersCausal):
            inside = f"{name}.{NETWORK_PREFIX}" if name else NETWORK_PREFIX
            outside = f"{name}." if name else ""
            names |= {own: outside + own.removeprefix(inside) for own in names if own.startswith(inside)}
    return names


def model_folder(path_or_repo: str | Path) -> Path:
    """The folder itself, or one into which the hub's files were fetched.

    Raises:
        FormatError: There is neither such a folder nor such a repository.
    """
    if Path(path_or_repo).is_dir():
        return Path(path_or_repo)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(path_or_repo)):
        raise FormatError(f"{path_or_repo}: there is no such folder, nor can a repository be called so")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ConfigError(
            f"{path_or_repo}: there is no such folder; to fetch it from the hub, pip install 'bytemill[hf]'"
        ) from error
    try:
        return Path(snapshot_download(str(path_or_repo), allow_patterns=_HUB_FILES))
    except Exception as error:  # the hub's client raises its own, httpx's and the system's
        reason = str(error).strip().partition("\n")[0]
        raise FormatError(
            f"{path_or_repo}: there is no such folder, and the hub did not give such a repository ({reason})"
        ) from error


def _name_table(n_layer: int) -> dict[str, str]:
    return {ours.format(block): theirs.format(block) for block in range(n_layer) for ours, theirs in _NAMES.items()}


def _their_views(model: GPT2) -> Iterator[tuple[str, Tensor]]:
    """Each tensor of their files as a view of ours: Conv1D weights transposed, padded rows cut off."""
    table = _name_table(model.config.n_layer)
    for name, parameter in model.named_parameters():
        module_name, _, kind = name.rpartition(".")
        if module_name not in table:
            raise ConfigError(f"{name} is no part of a plain GPT-2: merge_lora(model, unwrap=True) takes adapters in")
        view = parameter.detach()
        if kind == "weight" and isinstance(model.get_submodule(module_name), nn.Linear):
            view = view.T
        elif module_name == "token_embedding":
            view = view[: model.config.vocab_size]
        yield f"{table[module_name]}.{kind}", view


def _take(tensors: dict[str, Tensor], name: str, view: Tensor, folder: Path) -> Tensor:
    # The files of OpenAI's models leave out "transformer.".
    for known_name in (name, name.removeprefix("transformer.")):
        if known_name in tensors:
            tensor = tensors.pop(known_name)
            break
    else:
        raise FormatError(f"{folder}: the weights lack {name}, which config.json calls for")
    if tensor.shape != view.shape:
        raise FormatError(f"{folder}: {known_name} has shape {tuple(tensor.shape)}, by config.json {tuple(view.shape)}")
    return tensor


def _read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of model.safetensors, or of the shards its index names."""
    index = folder / "model.safetensors.index.json"
    tensors: dict[str, Tensor] = {}
    for file in _shards(index) if index.is_file() else [folder / "model.safetensors"]:
        tensors |= read_tensors(file)
    return tensors


def _weights_alone(tensors: dict[str, Tensor], source: Path) -> dict[str, Tensor]:
    """The tensors less what is no weight, and less a head that is the embedding."""
    tensors = {name: tensor for name, tensor in tensors.items() if not _NOT_WEIGHTS.fullmatch(name)}
    head = tensors.pop("lm_head.weight", None)
    embedding = tensors.get("transformer.wte.weight", tensors.get("wte.weight"))
    if head is not None and embedding is not None and not torch.equal(head, embedding):
        raise ConfigError(f"{source}: lm_head.weight differs from the token embedding; here they are one")
    return tensors


def _shards(index: Path) -> list[Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise FormatError(f"{index}: weight_map should be an object from tensor names to file names")
    for name in weight_map.values():
        if Path(name).name != name:
            raise FormatError(f"{index}: shard {name!r} must be a plain name of a file beside the index")
    return [index.with_name(name) for name in sorted(set(weight_map.values()))]


def _config_from_settings(path: Path, overrides: dict[str, Any]) -> GPT2Config:
    settings = read_json(path)
    for name, allowed in _REQUIRED_SETTINGS.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ConfigError(f"{path}: {name} is {settings[name]!r}; this GPT-2 can only do {allowed[0]!r}")
    known = {name: settings[name] for name in GPT2Config.model_fields if name in settings}
    return GPT2Config(**{**known, **overrides})


def _settings(config: GPT2Config, end_of_text_id: int | None) -> dict[str, Any]:
    ours_alone = {"qkv_bias", "pad_vocab_to"}
    return {
        "architectures": ["GPT2LMHeadModel"],
        **{name: allowed[0] for name, allowed in _REQUIRED_SETTINGS.items()},
        **config.model_dump(exclude=ours_alone),
        "bos_token_id": end_of_text_id,
        "eos_token_id": end_of_text_id,
    }
