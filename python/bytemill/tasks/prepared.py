"""From settings to a task: what the builders of all tasks return, and the stages that they share.

A builder reads and encodes the rows (`encoded_parts`), builds the model (`built_model`) and adapts it, and makes the
task, with what is saved next to its weights (`saved_fields`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypedDict, TypeVar

from bytemill.data.rows import EncodedRows
from bytemill.errors import ConfigError, DataError
from bytemill.tasks.base_model import base_of, lora_config, model_config_json, starting_model
from bytemill.tasks.base_settings import (
    files_for_use,
    fitted_to_data,
    refuse_misfit,
    tokenizer_of,
    with_settled_base,
)
from bytemill.tasks.inputs import check_inputs
from bytemill.tasks.row_parts import Rows, row_parts
from bytemill.train.plan import with_steps
from bytemill.train.task import Epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bytemill.data.rows.pairs import EncodedPairs
    from bytemill.model import CausalModel
    from bytemill.tokenizer import Tokenizer
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = [
    "EncodedParts",
    "Prepared",
    "SavedFields",
    "built_model",
    "encoded_parts",
    "model_for_rows",
    "resolve_epochs",
    "saved_fields",
    "settled",
    "with_rows",
]

Encoded = TypeVar("Encoded", EncodedRows, "EncodedPairs")


class Prepared(NamedTuple):
    """What a configuration describes, ready for `bytemill.train.loop.fit`."""

    task: Task
    config: RunConfig
    """The settings with everything settled that they left open."""
    reports: list[str]
    """A sentence on each part of the rows: how many can be used, and why others cannot."""


class SavedFields(TypedDict, total=False):
    """Fields of a `Task` that are saved with it; each may be left out."""

    model_config: Mapping[str, Any]
    """Saved with each checkpoint; rebuilds the model."""
    base: Mapping[str, str] | None
    """Path and SHA-256 of a frozen base, which checkpoints then lack."""
    files: Mapping[str, str]
    """Saved in the run's folder: the tokenizer, the template."""
    fingerprints: Mapping[str, str]
    """Of data and tokenizer, by name."""


class EncodedParts(NamedTuple, Generic[Encoded]):
    """Encoded rows for training, and those that are measured; None for a part without rows."""

    train: Encoded
    validation: Encoded | None
    test: Encoded | None
    reports: list[str]


class _ReadRows(Protocol):
    def __call__(self, config: RunConfig, source: str | None = None, *, notes: list[str] | None = None) -> Rows: ...


def settled(config: RunConfig) -> tuple[RunConfig, Tokenizer]:
    """Return the settings of a task on rows with what its base decides, and the tokenizer.

    Raises:
        ConfigError: `data.path` is not given, or no tokenizer is found; see also `check_inputs`.
    """
    check_inputs(config)
    config = with_settled_base(config)
    return config, tokenizer_of(config)


def encoded_parts(config: RunConfig, read: _ReadRows, encode: Callable[[Rows], Encoded]) -> EncodedParts[Encoded]:
    """Read the rows of `data.path`, `data.val` and `data.test`, split them and encode each part.

    Test rows are encoded only if they have a file of their own, `data.test`.

    Raises:
        DataError: The rows cannot be read, or none of a part that is needed can be used.
    """
    data = config.data
    notes: list[str] = []
    parts = row_parts(
        config,
        read(config, notes=notes),
        lambda source: read(config, source, notes=notes),
        at_most=data.max_rows,
    )
    encoded: Encoded = encode(parts.train)
    train = replace(encoded, notes=(*encoded.notes, *notes))
    validation, on_validation = _held_out(parts.validation, encode, source=data.val)
    test, on_test = _held_out(parts.test if data.test else (), encode, source=data.test)
    reports = [f"training: {train.report()}", f"validation: {on_validation}"]
    if data.test is not None:
        reports.append(f"test: {on_test}")
    return EncodedParts(train, validation, test, reports)


def built_model(
    config: RunConfig, *, n_vocab: int, tokenizer_sha256: str, source: str
) -> tuple[CausalModel, RunConfig]:
    """Return the model that training starts from, and the settings with its open fields filled in.

    Args:
        config: From `settled`.
        n_vocab: Ids that the data may have.
        tokenizer_sha256: Fingerprint of the tokenizer of the data.
        source: Where the ids come from, for the error.

    Raises:
        ConfigError: The model does not know every id, or is shorter than a sample.
        DataError: The base was trained with another tokenizer.
    """
    config = fitted_to_data(config, n_vocab)
    model = starting_model(config, tokenizer_sha256=tokenizer_sha256)
    refuse_misfit(model.config, config, n_vocab=n_vocab, source=source)
    model.checkpoints_activations = config.train.checkpoint_activations
    return model, config


def model_for_rows(config: RunConfig, tokenizer: Tokenizer) -> tuple[CausalModel, RunConfig]:
    """Return `built_model` for the ids of a tokenizer, given or the base's own."""
    return built_model(
        config,
        n_vocab=tokenizer.n_vocab,
        tokenizer_sha256=tokenizer.fingerprint,
        source=str(config.data.tokenizer or config.base),
    )


def saved_fields(config: RunConfig, model: CausalModel, tokenizer: Tokenizer) -> SavedFields:
    """Return what a task on rows saves with its weights."""
    return {
        "model_config": model_config_json(model, lora_config(config.lora), backend=config.lora.backend),
        "base": base_of(config),
        "files": files_for_use(config, tokenizer, model.config.n_positions),
        "fingerprints": {"tokenizer": tokenizer.fingerprint},
    }


def with_rows(saved: SavedFields, fingerprint: str) -> SavedFields:
    """Return the same fields with the fingerprint of the training rows added."""
    return {**saved, "fingerprints": {**saved.get("fingerprints", {}), "rows": fingerprint}}


def resolve_epochs(config: RunConfig, *, n_rows: int) -> RunConfig:
    """Turn `train.epochs` into `train.max_steps` and `train.warmup_share` into `train.warmup_steps`.

    Raises:
        ConfigError: A batch in tokens is asked for.

    >>> from bytemill.train.config import load_config
    >>> two_epochs = load_config(None, ["train.epochs=2", "data.batch_size=8"])
    >>> resolve_epochs(two_epochs, n_rows=935).train.max_steps
    234
    """
    for name in ("total_batch_tokens", "find_batch_size"):
        if getattr(config.train, name):
            raise ConfigError(
                f"train.{name} is only for pretraining; for rows, set data.batch_size and train.micro_batches"
            )
    return with_steps(config, Epoch(n_rows, "rows", batch_size=config.data.batch_size))


def _held_out(rows: Rows, encode: Callable[[Rows], Encoded], *, source: str | None) -> tuple[Encoded | None, str]:
    """Return what can be used of the rows that are kept aside, None if nothing can, and a sentence on it.

    Training needs none of them: of few rows the only one for validation may be the one without an answer. Rows from a
    file of their own, `source`, must be of use.
    """
    if not rows:
        return None, "no rows are kept aside"
    try:
        encoded = encode(rows)
    except DataError as error:
        if source is not None:
            raise DataError(f"{source}: {error}") from None
        return None, str(error)
    return encoded, encoded.report()
