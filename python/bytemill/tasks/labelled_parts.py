"""Prepares labelled rows for training a classifier: read, rename labels, balance, split and encode."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from bytemill.data.rows import LabelledRows, encode_labelled, undersampled
from bytemill.data.rows.encode import text_fault
from bytemill.data.rows.labels import label_names, renamed_labels
from bytemill.errors import DataError
from bytemill.tasks.row_parts import row_parts
from bytemill.tasks.tuning import read_for_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bytemill.tasks.row_parts import RowParts, Rows
    from bytemill.train.config import DataConfig, RunConfig

__all__ = ["ClassifyRows", "called", "labelled_rows"]


class ClassifyRows(NamedTuple):
    """The labelled rows for training, validation and test."""

    train: LabelledRows
    validation: LabelledRows | None
    test: LabelledRows | None
    """None for a part whose fraction is 0."""

    def reports(self) -> list[str]:
        """Return one sentence per part."""
        parts = zip(self._fields, self, strict=True)
        return [f"{name}: {'no rows are kept aside' if part is None else part.report()}" for name, part in parts]


def labelled_rows(config: RunConfig, tokenizer: Any) -> ClassifyRows:
    """Read, balance, split and encode the rows of `data.path`, `data.val` and `data.test`.

    Raises:
        DataError: The rows cannot be read, lack a column, or have fewer than two labels.
        ConfigError: `classify.names` does not match the labels.
    """
    data = config.data
    notes: list[str] = []
    names = config.classify.names
    rows: Rows = renamed_labels(read_for_task(config, notes=notes), names)
    if config.classify.imbalance == "undersample":
        rows = undersampled(rows, seed=data.seed)
    parts = row_parts(
        config,
        rows,
        lambda source: called(read_for_task(config, source, notes=notes), names),
        at_most=data.max_rows,
    )
    if config.classify.imbalance == "undersample" and 0 < data.max_rows < len(rows):
        parts = _balanced_again(parts, data)
    labels = label_names([row for row in parts.train if text_fault(row, "text") is None])
    if len(labels) < 2:
        raise DataError(
            f"{data.path}: the column {data.label_column!r} of {len(parts.train)} training rows has "
            f"{len(labels)} labels ({', '.join(labels)}), expected at least two"
        )
    encoded = encode_labelled(parts.train, tokenizer, labels=labels, max_tokens=data.seq_len)
    encode = partial(encode_labelled, tokenizer=tokenizer, labels=labels, max_tokens=encoded.longest)
    validation = _held_out("validation", parts.validation, encode, config, data.val, len(rows))
    test = _held_out("test", parts.test, encode, config, data.test, len(rows))
    return ClassifyRows(replace(encoded, notes=(*encoded.notes, *notes)), validation, test)


def _balanced_again(parts: RowParts, data: DataConfig) -> RowParts:
    """Balance each part of `data.path` again, after `data.max_rows` limited the parts."""
    files = {"train": None, "test": data.test, "validation": data.val}
    own = {name: getattr(parts, name) for name, file in files.items() if file is None}
    return parts._replace(**{name: undersampled(rows, seed=data.seed) for name, rows in own.items()})


def called(rows: Rows, names: Mapping[str, str]) -> Rows:
    """Return rows with renamed labels, like `renamed_labels`, but some of the labels may be absent from the rows."""
    there = label_names(rows)
    return renamed_labels(rows, {label: name for label, name in names.items() if label in there})


def _held_out(
    name: str,
    rows: Rows,
    encode: Callable[[Rows], LabelledRows],
    config: RunConfig,
    source: str | None,
    n_all: int,
) -> LabelledRows | None:
    """Return the encoded rows of the validation or test set; None if its fraction is 0."""
    share = 0 if config.data.split is None else config.data.split[("train", "test", "validation").index(name)]
    if config.data.split is not None and not share and source is None:
        return None
    try:
        return encode(rows)
    except DataError as error:
        whole = f"{source}" if source else f"{config.data.path}: for {name} {len(rows)} of {n_all} rows were kept aside"
        raise DataError(f"{whole}: {error}") from None
