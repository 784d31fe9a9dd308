"""Splits rows into training, test and validation sets: by fractions of one source, or from separate files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bytemill.data.rows import split_rows
from bytemill.data.rows.split import split_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from bytemill.train.config import RunConfig

__all__ = ["SHARES", "RowParts", "Rows", "row_parts", "shares_of"]

Rows = Sequence[Mapping[str, Any]]
SHARES = (0.85, 0.10, 0.05)
"""Default fractions of training, test and validation, in all tasks except classify."""
_CLASSIFY_SHARES = (0.7, 0.2, 0.1)


class RowParts(NamedTuple):
    """The rows of each part, in shuffled order."""

    train: Rows
    test: Rows
    validation: Rows


def row_parts(config: RunConfig, rows: Rows, read: Callable[[str], Rows], *, at_most: int = 0) -> RowParts:
    """Split the rows of `data.path` by the settings, and read validation and test rows from separate files if given.

    In the task lm, a single text is split at line breaks, so that its end is the validation set.

    Args:
        config: Its data section has the fractions, seed, files and `train_rows`.
        rows: Rows of `data.path`.
        read: Reads the rows of `data.val` and `data.test`.
        at_most: Maximum number of rows of all parts of `data.path` together; 0 for all.
    """
    data = config.data
    train, test, validation = shares_of(config)
    if config.task == "lm" and data.long_texts == "window" and len(rows) == 1 and isinstance(rows[0].get("text"), str):
        texts = split_text(rows[0]["text"], (train, test, validation))
        parts: list[Rows] = [[{**rows[0], "text": text}] if text.strip() else [] for text in texts]
    elif config.task == "classify":  # validation rows are cut before test rows
        parts = list(split_rows(rows, (train, validation, test), seed=data.seed, at_most=at_most))
        parts = [parts[0], parts[2], parts[1]]
    else:
        parts = list(split_rows(rows, (train, test, validation), seed=data.seed, at_most=at_most))
    if data.test is not None:
        parts[1] = read(data.test)
    if data.val is not None:
        parts[2] = read(data.val)
    return RowParts(parts[0][: data.train_rows or None], parts[1], parts[2])


def shares_of(config: RunConfig) -> tuple[float, float, float]:
    """Return the fractions of training, test and validation; that of a part with a separate file goes to training."""
    data = config.data
    if data.split is not None:
        train, test, validation = data.split
        return train, test, validation
    train, test, validation = _CLASSIFY_SHARES if config.task == "classify" else SHARES
    if data.test is not None:
        train, test = train + test, 0.0
    if data.val is not None:
        train, validation = train + validation, 0.0
    return train, test, validation
