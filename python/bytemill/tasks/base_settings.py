"""The settings that a run's base, tokenizer and data decide: template, tokenizer, and the shape of a new model.

This file does not import torch, so that settings can be checked first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bytemill.errors import CheckpointError, ConfigError, FormatError
from bytemill.model.config import GPT2Config
from bytemill.tasks.model_place import ASKING_TASKS, find_model
from bytemill.tasks.tokenizer_files import tokenizer_files
from bytemill.tokenizer.source import open_tokenizer
from bytemill.train.config import unknown_setting

if TYPE_CHECKING:
    from bytemill.data.rows import Template
    from bytemill.tokenizer import Tokenizer
    from bytemill.train.config import RunConfig

__all__ = [
    "files_for_use",
    "fitted_to_data",
    "model_shape",
    "refuse_misfit",
    "template_of",
    "tokenizer_of",
    "with_settled_base",
]


def with_settled_base(config: RunConfig) -> RunConfig:
    """Return the configuration with the settings that its base determines.

    `base` is set to one checkpoint, so that training the base further does not affect this run. If `data.template` is
    not given, it is set to the base's template, or to alpaca if the base has none and the task needs one. If
    `data.seq_len` is not given, it is at most the context of the base.

    Raises:
        CheckpointError, FormatError: The base cannot be found; the error names the setting `base`.
    """
    template, seq_len = config.data.template, config.data.seq_len
    base = config.base
    if base is not None:
        try:
            place = find_model(base)
        except (CheckpointError, FormatError) as error:
            raise type(error)(f"base: {error}") from None
        base = base if place.state is None else str(place.folder)
        if template is None:
            found = place.template()
            template = found if found is None or isinstance(found, str) else "own"
        if "seq_len" not in config.data.model_fields_set:
            seq_len = min(seq_len, place.n_positions or seq_len)
    if template is None and config.task in ASKING_TASKS:
        template = "alpaca"
    data = config.data.model_copy(update={"template": template, "seq_len": seq_len})
    return config.model_copy(update={"base": base, "data": data})


def template_of(config: RunConfig) -> Template:
    """Return the template of a settled configuration.

    Raises:
        ConfigError: `data.template` is own, but the base has no chat template.
    """
    if config.data.template != "own":
        return config.data.template or "alpaca"
    found = None if config.base is None else find_model(config.base).template()
    if found is None:
        raise ConfigError("data.template is 'own', but there is no chat template next to the tokenizer of `base`")
    return found


def tokenizer_of(config: RunConfig) -> Tokenizer:
    """Return the tokenizer of `data.tokenizer`, or the base's own.

    Raises:
        ConfigError: There is neither, or it has no end of text, which every task except pretraining needs.
        FormatError: The tokenizer is damaged or not byte-level BPE.
    """
    tokenizer, source = None, ""
    if config.data.tokenizer is not None:
        tokenizer, source = open_tokenizer(config.data.tokenizer), config.data.tokenizer
    elif config.base is not None:
        tokenizer, source = find_model(config.base).tokenizer_if_any(), config.base
    if tokenizer is None:
        whose = "there is no base that has one" if config.base is None else f"the base {config.base} has none"
        raise ConfigError(f"data.tokenizer is not given, and {whose}")
    if tokenizer.end_of_text_id is None and config.task != "pretrain":
        raise ConfigError(
            f"{source}: this tokenizer has no end of text, so a model could not learn where an answer ends; expected a "
            "special token such as <|endoftext|>, or an eos_token in the tokenizer_config.json next to it"
        )
    return tokenizer


def files_for_use(config: RunConfig, tokenizer: Tokenizer | None, n_positions: int) -> dict[str, str]:
    """Return the files that a run's folder needs to use its model: tokenizer and template, text by file name."""
    if tokenizer is None:
        return {}
    template = None if config.data.template is None else template_of(config)
    return tokenizer_files(tokenizer, template, n_positions=n_positions)


def fitted_to_data(config: RunConfig, n_vocab: int) -> RunConfig:
    """Return the configuration with the sizes of a new model filled in.

    `vocab_size` is set to the tokenizer's number of ids. `n_positions` is set to `data.seq_len` unless the model has a
    name.

    >>> from bytemill.train.config import load_config
    >>> fitted_to_data(load_config(None, ["model.n_layer=2", "data.seq_len=64"]), 300).model
    {'vocab_size': 300, 'n_positions': 64, 'n_layer': 2}
    """
    if config.base is not None:
        return config
    open_fields = {"vocab_size": n_vocab}
    if "name" not in config.model:
        open_fields["n_positions"] = config.data.seq_len
    return config.model_copy(update={"model": {**open_fields, **config.model}})


def model_shape(config: RunConfig) -> GPT2Config:
    """Return the shape of a new model that the `model` section describes.

    >>> from bytemill.train.config import load_config
    >>> model_shape(load_config(None, ["model.name=gpt2", "model.n_layer=2"])).n_layer
    2

    Raises:
        ConfigError: The section has an unknown field or an invalid value.
    """
    fields = dict(config.model)
    name = fields.pop("name", None)
    for field in fields:
        if field not in GPT2Config.model_fields:
            raise ConfigError(unknown_setting(f"model.{field}"))
    try:
        return GPT2Config(**fields) if name is None else GPT2Config.named(name, **fields)
    except ConfigError as error:
        raise ConfigError(f"model.{error}") from None


def refuse_misfit(shape: Any, config: RunConfig, *, n_vocab: int, source: str) -> None:
    """Check that a model knows every id of the data, and is long enough for a sample.

    Args:
        shape: The model's configuration, with `vocab_size` and `n_positions`.
        config: The settings of the run.
        n_vocab: Ids that the data may have.
        source: Where the ids come from, for the error.

    Raises:
        ConfigError: The model does not know every id, or is shorter than a sample.
    """
    seq_len = config.data.seq_len
    if n_vocab > shape.vocab_size:
        raise ConfigError(f"model.vocab_size is {shape.vocab_size}, but the ids of {source} need {n_vocab}")
    if seq_len > shape.n_positions:
        raise ConfigError(f"data.seq_len is {seq_len}, above model.n_positions, {shape.n_positions}")
