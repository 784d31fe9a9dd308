"""Checks what settings name - data, tokenizer, base, the shape of a new model - before torch is imported.

Importing torch takes seconds, and a wrong path or value should be an error before that.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.data import Manifest, read_manifest
from bytemill.data.rows.read import refuse_missing
from bytemill.errors import ConfigError
from bytemill.tasks.base_settings import fitted_to_data, model_shape, refuse_misfit, with_settled_base
from bytemill.tokenizer.source import open_tokenizer
from bytemill.train.plan import resolve_micro_batches

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = ["check_inputs", "shards_at"]


def check_inputs(config: RunConfig) -> None:
    """Check that the data, the tokenizer and the base of a run exist, and that a new model has a valid shape.

    Raises:
        ConfigError: `data.path` is not given, shards cannot be read, or the model section or the batch is invalid.
        DataError: A file of rows does not exist.
        ArgumentError: There is no such tokenizer.
        CheckpointError, FormatError: The base cannot be found, or the shards are damaged.
    """
    data = config.data
    if config.task == "pretrain":
        _check_shards(config)
    else:
        if data.path is None:
            raise ConfigError("data.path is not given")
        for source in (data.path, data.val, data.test):
            if source is not None:
                refuse_missing(source)
        if config.base is None:
            model_shape(config)
    if data.tokenizer is not None and not Path(data.tokenizer).exists():
        open_tokenizer(data.tokenizer)
    with_settled_base(config)


def shards_at(folder: str, *, setting: str = "data.path") -> Manifest:
    """Return the manifest of a folder of shards that a setting names.

    Raises:
        ConfigError: The folder cannot be read; the message names the setting.
        FormatError: The manifest is damaged.
    """
    try:
        return read_manifest(folder)
    except OSError as error:
        raise ConfigError(f"{setting}: {error.filename} cannot be read: {error.strerror}") from None


def _check_shards(config: RunConfig) -> None:
    data = config.data
    if data.path is None:
        raise ConfigError("data.path is not given: the folder of shards that `bytemill data prepare` wrote")
    if config.lora.r:
        raise ConfigError(f"lora.r is {config.lora.r}, but pretraining trains all parameters; leave it out")
    if not config.train.find_batch_size:
        resolve_micro_batches(config)
    manifest = shards_at(data.path)
    for name, folder in data.more_val.items():
        shards_at(folder, setting=f"data.more_val.{name}")
    if data.hellaswag is not None:
        refuse_missing(data.hellaswag)
    if config.base is None:
        fitted = fitted_to_data(config, manifest.n_vocab)
        refuse_misfit(model_shape(fitted), fitted, n_vocab=manifest.n_vocab, source=data.path)
