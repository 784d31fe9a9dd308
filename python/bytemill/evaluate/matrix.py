"""Computes the loss of several models on several data sets, to show how tuning on one data set affects the others.

Some rows of each data set are sampled once, with a seed, and all models use the same rows. The loss is in nats per
token over all labels of these rows: the answers of instructions, or all tokens of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.data.rows import EncodedRows, Row, collate, encode_rows, encode_texts, read_rows, split_rows
from bytemill.data.rows.split import permutation
from bytemill.errors import DataError
from bytemill.evaluate.loss import held_out_loss
from bytemill.json_reader import MAX_ROWS_BYTES, read_regular_file
from bytemill.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

    from bytemill.data.rows import RowEncoder, Template

__all__ = ["DataSet", "LossMatrix", "data_set_losses", "draw_data_set"]

_SPLITS = ("train", "test", "val")


@dataclass(frozen=True)
class DataSet:
    """Rows sampled from one source."""

    name: str
    encoded: EncodedRows

    @property
    def n_rows(self) -> int:
        """Number of usable rows."""
        return len(self.encoded.rows)


@dataclass(frozen=True)
class LossMatrix:
    """Losses in nats per token."""

    data_sets: Sequence[DataSet]
    losses: Mapping[str, Sequence[float]]
    """By model: one loss per data set."""

    def as_json(self) -> dict[str, Any]:
        """Return JSON data."""
        sets = [{"name": one.name, "n_rows": one.n_rows, "rows": one.encoded.report()} for one in self.data_sets]
        return {"data_sets": sets, "losses": {name: list(values) for name, values in self.losses.items()}}

    def as_markdown(self) -> str:
        """Return a table with one row per model and one column per data set, ending in a line break.

        >>> sets = [DataSet("imdb", EncodedRows([], 0, 0, {}))]
        >>> print(LossMatrix(sets, {"base": [3.8278]}).as_markdown(), end="")
        | model | imdb |
        | --- | ---: |
        | base | 3.8278 |
        """
        lines = [["model", *(one.name for one in self.data_sets)], ["---", *("---:" for _ in self.data_sets)]]
        lines += [[name, *(f"{value:.4f}" for value in values)] for name, values in self.losses.items()]
        return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def draw_data_set(
    name: str,
    source: str,
    tokenizer: RowEncoder,
    *,
    n_rows: int,
    max_tokens: int,
    seed: int = 0,
    split: str = "all",
    split_seed: int = 0,
    shares: Sequence[float] = (0.85, 0.10, 0.05),
    text_column: str = "text",
    template: Template = "alpaca",
) -> DataSet:
    """Sample random rows from a source.

    Args:
        name: Name of the data set in tables.
        source: A .txt file, whose rows are windows of `max_tokens`; or rows with `instruction` and `output`, or with a
            text column, in any format of `read_rows`.
        tokenizer: The models' tokenizer.
        n_rows: Number of rows to sample; all if there are fewer.
        max_tokens: Maximum input length of the models; longer rows are truncated.
        seed: Random seed for sampling.
        split: "train", "test" or "val" samples from that part of the rows, split as in tuning.
        split_seed: data.seed of the tuning.
        shares: Fractions of training, test and validation rows in the tuning.
        text_column: Column of the texts.
        template: Template of the instructions.

    Raises:
        DataError: The source cannot be read, or has no usable column or row.
    """
    if Path(source).suffix == ".txt":
        return DataSet(
            name, _windows(_drawn(_ids_of(source, tokenizer, max_tokens), n_rows, seed, split, split_seed, shares))
        )
    rows = read_rows(source, ())
    there = dict.fromkeys(column for row in rows for column in row)
    drawn = _drawn(rows, n_rows, seed, split, split_seed, shares)
    is_instructions = {"instruction", "output"} <= there.keys()
    if not is_instructions and text_column not in there:
        raise DataError(
            f"{source}: needs the columns 'instruction' and 'output', or {text_column!r}; it has {', '.join(there)}"
        )
    try:
        if is_instructions:
            return DataSet(name, encode_rows(drawn, tokenizer, max_tokens=max_tokens, template=template))
        texts = [{"text": row.get(text_column)} for row in drawn]
        return DataSet(name, encode_texts(texts, tokenizer, max_tokens=max_tokens))
    except DataError as error:  # name the source
        raise DataError(f"{source}: {error}") from None


def data_set_losses(
    model: torch.nn.Module, data_sets: Sequence[DataSet], *, pad_id: int, batch_size: int = 8
) -> list[float]:
    """Return one model's mean loss on each data set, in nats per token.

    Args:
        model: Called as in `held_out_loss`.
        data_sets: From `draw_data_set`.
        pad_id: Id that pads short rows.
        batch_size: Rows per batch.
    """
    return [held_out_loss(model, _batches(one.encoded.rows, pad_id, batch_size)).mean for one in data_sets]


def _batches(rows: Sequence[Row], pad_id: int, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """Yield batches of rows of similar length, to pad less; the order does not change the sum over labels."""
    ordered = sorted(rows, key=lambda row: len(row.ids))
    starts = range(0, len(ordered), batch_size)
    for start in counted(starts, "validation", len(starts)):
        yield collate(ordered[start : start + batch_size], pad_id=pad_id)


def _drawn(
    rows: Sequence[Any], n_rows: int, seed: int, split: str, split_seed: int, shares: Sequence[float]
) -> list[Any]:
    part = rows if split == "all" else split_rows(rows, shares, seed=split_seed)[_SPLITS.index(split)]
    if not part:
        raise DataError(f"{len(rows)} rows are too few for a {split} part")
    return [part[i] for i in permutation(len(part), seed, 0)[:n_rows]]


def _ids_of(source: str, tokenizer: RowEncoder, max_tokens: int) -> list[list[int]]:
    """Return the windows of a text, each with one id more than an input, because the last id is the last label."""
    try:
        text = read_regular_file(source, max_bytes=MAX_ROWS_BYTES, error=DataError).decode()
    except OSError as error:
        raise DataError(f"{source}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 at byte {error.start}") from None
    ids = tokenizer.encode_ordinary(text)
    if len(ids) < 2:
        raise DataError(f"{source}: has {len(ids)} tokens, expected at least two: one to predict the next")
    return [ids[start : start + max_tokens + 1] for start in range(0, len(ids) - 1, max_tokens)]


def _windows(windows: Sequence[list[int]]) -> EncodedRows:
    return EncodedRows([Row(np.array(ids, dtype=np.int64), 1) for ids in windows], len(windows), 0, {})
