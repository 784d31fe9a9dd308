"""Encode labelled texts as ids and classes, and balance rare classes.

    ids      Free entry in 2 a wkly comp … | <|endoftext|>   (padding: <|endoftext|>)
    read     no                            | here: the class | never

The class is read at the first end-of-text: this position has seen the whole text, and padding after it changes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.data.rows.batches import RowBatches
from bytemill.data.rows.encode import text_fault
from bytemill.data.rows.split import permutation
from bytemill.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bytemill.data.rows.encode import RowEncoder

__all__ = [
    "LabelledBatches",
    "LabelledRow",
    "LabelledRows",
    "collate_labelled",
    "encode_labelled",
    "label_names",
    "renamed_labels",
    "undersampled",
]


@dataclass(frozen=True)
class LabelledRow:
    """The ids of a text with end-of-text last, and the number of its class."""

    ids: NDArray[np.int64]
    label: int
    place: int = 0
    """Index of the row in the input."""


@dataclass(frozen=True)
class LabelledRows:
    """The usable rows, and what became of the others."""

    rows: list[LabelledRow]
    labels: tuple[str, ...]
    """Names of the classes, by number."""
    n_given: int
    n_cut: int
    """Number of usable rows whose text was truncated."""
    refused: dict[str, int]
    """Rows that could not be used, by reason."""
    notes: tuple[str, ...] = ()
    """What else happened to the rows, in words that end the report."""

    @property
    def longest(self) -> int:
        """Number of ids of the longest row."""
        return max(len(row.ids) for row in self.rows)

    def counts(self) -> list[int]:
        """Return the number of rows of each class."""
        found = Counter(row.label for row in self.rows)
        return [found[label] for label in range(len(self.labels))]

    def report(self) -> str:
        """One sentence on what became of the rows."""
        counts = ", ".join(f"{count} {name}" for name, count in zip(self.labels, self.counts(), strict=True))
        text = f"{len(self.rows)} of {self.n_given} rows used ({counts}), {self.n_cut} of them cut"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        return "; ".join([text, *([f"not used: {reasons}"] if reasons else []), *self.notes])

    def fingerprint(self) -> str:
        """SHA-256 of all ids and classes, in order."""
        digest = hashlib.sha256("\0".join(self.labels).encode())
        for row in self.rows:
            digest.update(np.array([len(row.ids), row.label], dtype="<i8").tobytes())
            digest.update(row.ids.astype("<i8").tobytes())
        return digest.hexdigest()


def label_names(rows: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the labels that occur, sorted; numbers and booleans as text.

    >>> label_names([{"label": "spam"}, {"label": "ham"}, {"label": None}, {"label": float("nan")}])
    ('ham', 'spam')
    """
    return tuple(sorted({name for row in rows if (name := _label(row)) is not None}))


def renamed_labels(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> Sequence[Mapping[str, Any]]:
    """Return rows with labels renamed by `names` (label in the file -> name); other labels stay.

    Raises:
        ConfigError: No row has one of the labels, or two labels would get the same name.

    >>> renamed_labels([{"label": 0}, {"label": "spam"}], {"0": "not spam"})
    [{'label': 'not spam'}, {'label': 'spam'}]
    """
    if not names:
        return rows
    there = label_names(rows)
    for label in names:
        if label not in there:
            raise ConfigError(
                f"classify.names has {label!r}, which is not a label of the rows; the labels are {_some(there)}"
            )
    called = [names.get(label, label) for label in there]
    for name, count in Counter(called).items():
        if count > 1:
            raise ConfigError(f"classify.names: {count} labels would be called {name!r}; give each its own name")
    return [{**row, "label": names.get(_label(row) or "", row.get("label"))} for row in rows]


def undersampled(rows: Sequence[Mapping[str, Any]], *, seed: int = 0) -> list[Mapping[str, Any]]:
    """Return the same number of rows of each label (that of the rarest), chosen by `seed`, in input order.

    Rows without a label or a text stay, and `encode_labelled` counts them.

    >>> sorted(row["label"] for row in undersampled([{"label": name} for name in "abaabcca"]))
    ['a', 'a', 'b', 'b', 'c', 'c']
    """
    by_label: dict[str | None, list[int]] = {}
    for place, row in enumerate(rows):
        by_label.setdefault(None if "text" in row and text_fault(row, "text") else _label(row), []).append(place)
    unusable = by_label.pop(None, [])
    fewest = min(map(len, by_label.values()), default=0)
    kept = [
        places[i]
        for number, (_, places) in enumerate(sorted(by_label.items(), key=lambda item: str(item[0])))
        for i in permutation(len(places), seed, number)[:fewest]
    ]
    return [rows[place] for place in sorted([*kept, *unusable])]


def encode_labelled(
    rows: Sequence[Mapping[str, Any]], tokenizer: RowEncoder, *, labels: Sequence[str], max_tokens: int
) -> LabelledRows:
    """Encode rows of text and label as ids and classes.

    Args:
        rows: Mappings with the keys `text` and `label`.
        tokenizer: The model's tokenizer.
        labels: The classes; rows of other classes are not used.
        max_tokens: Maximum input length of the model, end-of-text included; longer texts are truncated.

    Raises:
        DataError: No row can be used; says why.
    """
    numbers = {name: number for number, name in enumerate(labels)}
    usable: list[LabelledRow] = []
    refused: Counter[str] = Counter()
    n_cut = 0
    for place, row in enumerate(rows):
        label = _label(row)
        fault = text_fault(row, "text")
        if not fault and label is None:
            fault = "without a label"
        if not fault and label not in numbers:
            fault = f"with the label {label!r}, never seen in training"
        if fault:
            refused[fault] += 1
            continue
        ids = tokenizer.encode_ordinary(row["text"])
        n_cut += len(ids) >= max_tokens
        whole = np.array([*ids[: max_tokens - 1], tokenizer.eot_token], dtype=np.int64)
        usable.append(LabelledRow(whole, numbers[str(label)], place))
    result = LabelledRows(usable, tuple(labels), len(rows), n_cut, dict(refused))
    if not usable:
        raise DataError(f"no row can be used: {result.report()}")
    return result


def collate_labelled(
    rows: Sequence[LabelledRow], *, pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return rows of different lengths as one padded batch.

    Returns:
        ids (B, T), padded with `pad_id`; the positions to read, (B,); classes, (B,). T is the longest row's length.

    >>> ids, ends, labels = collate_labelled([LabelledRow(np.array([1, 2, 9]), 0), LabelledRow(np.array([9]), 1)],
    ...                                      pad_id=9)
    >>> ids.tolist(), ends.tolist(), labels.tolist()
    ([[1, 2, 9], [9, 9, 9]], [2, 0], [0, 1])
    """
    ids = np.full((len(rows), max(len(row.ids) for row in rows)), pad_id, dtype=np.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = row.ids
    ends = np.array([len(row.ids) - 1 for row in rows], dtype=np.int64)
    return ids, ends, np.array([row.label for row in rows], dtype=np.int64)


class LabelledBatches(RowBatches[LabelledRow]):
    """An endless stream of batches of labelled rows, in the order of `RowBatches`."""

    def _collated(self, rows: Sequence[Any]) -> Any:
        return collate_labelled(rows, pad_id=self._pad_id)


def _some(labels: Sequence[str], most: int = 20) -> str:
    return ", ".join(labels[:most]) + (f" and {len(labels) - most} more" if len(labels) > most else "")


def _label(row: Mapping[str, Any]) -> str | None:
    value = row.get("label")
    if isinstance(value, str):
        return value.strip() or None
    return None if value is None or value != value else str(value)  # a missing number in a table is NaN
