r"""Instruction rows to ids with a loss mask, and batches of them in a seeded endless order.

A row becomes `prompt + response + end-of-text`. What is trained is decided here and nowhere else:

    ids      Below … ### Response:\n | Paris is the capital. | <|endoftext|>   (padding)
    trained  no (unless unmasked)    | yes                   | yes, once       | never

The end-of-text is trained once because a model that never sees it as a target never stops; the
padding after it is the same id and is not trained, because it says nothing. A row that is too long is
cut and then has no end-of-text: to stop in mid-sentence is not worth learning. Rows that cannot be
used are counted by reason, never dropped in silence.

Free of torch: ids and labels are numpy arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "EncodedRows",
    "Row",
    "RowBatches",
    "RowEncoder",
    "Template",
    "collate",
    "encode_rows",
    "instruction_prompt",
    "read_rows",
    "rows_fingerprint",
    "split_rows",
]

Template = Literal["alpaca", "alpaca_one_header"]
AnyRow = TypeVar("AnyRow")
IGNORED_LABEL = -100
_COLUMNS = ("instruction", "output")
_WITH_INPUT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request."
)
_WITHOUT_INPUT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request."
)


class RowEncoder(Protocol):
    """What is asked of a tokenizer here."""

    @property
    def eot_token(self) -> int:
        """The id that ends a document."""
        ...

    def encode_ordinary(self, text: str, /) -> list[int]:
        """Text to ids; a special token's text is text like any other."""
        ...


@dataclass(frozen=True)
class Row:
    """One example as ids: the first `n_prompt` are the prompt's."""

    ids: NDArray[np.int64]
    n_prompt: int


@dataclass(frozen=True)
class EncodedRows:
    """The usable rows, and what became of the others."""

    rows: list[Row]
    n_given: int
    """Rows that were read."""
    n_cut: int
    """Usable rows whose response was cut at the longest length."""
    refused: dict[str, int]
    """Rows that could not be used, by reason."""

    def report(self) -> str:
        """One sentence on what became of the rows.

        >>> EncodedRows([], 3, 0, {"empty output": 2, "empty instruction": 1}).report()
        '0 of 3 rows used, 0 of them cut; not used: 2 empty output, 1 empty instruction'
        """
        text = f"{len(self.rows)} of {self.n_given} rows used, {self.n_cut} of them cut"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        return f"{text}; not used: {reasons}" if reasons else text

    def fingerprint(self) -> str:
        """SHA-256 of all ids and prompt lengths, in order."""
        return rows_fingerprint(self.rows)


def instruction_prompt(instruction: str, input_text: str = "", *, template: Template = "alpaca") -> str:
    r"""The prompt of one row, up to where the response begins (Taori et al., "Stanford Alpaca", 2023).

    Args:
        instruction: What to do.
        input_text: What to do it with; its block is left out when empty.
        template: "alpaca" has another first line with an input than without; "alpaca_one_header" has
            the shorter one for both.

    >>> print(instruction_prompt("Translate.", "The sun is shining.").partition("\n\n")[2], end="")
    ### Instruction:
    Translate.
    <BLANKLINE>
    ### Input:
    The sun is shining.
    <BLANKLINE>
    ### Response:
    """
    header = _WITH_INPUT if input_text and template == "alpaca" else _WITHOUT_INPUT
    block = f"### Input:\n{input_text}\n\n" if input_text else ""
    return f"{header}\n\n### Instruction:\n{instruction}\n\n{block}### Response:\n"


def read_rows(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a JSON file (an array of objects) or of a .jsonl file (an object a line).

    Raises:
        DataError: The file cannot be read, is of another form, or all rows lack a column that is
            needed; the error names the columns that are there.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in text.splitlines() if line.strip()]
        else:
            rows = json.loads(text)
    except OSError as error:
        raise DataError(f"{path}: the rows cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON in UTF-8: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: expected a list of objects, one a row, and at least one")
    there = dict.fromkeys(name for row in rows for name in row)
    for column in _COLUMNS:
        if column not in there:
            raise DataError(f"{path}: no row has a column {column!r}; there are {', '.join(there)}")
    return rows


def split_rows(
    rows: Sequence[Any], shares: Sequence[float] = (0.85, 0.10, 0.05), *, seed: int | None = 0
) -> list[list[Any]]:
    """Rows parted into train, test and validation (or as many parts as there are shares).

    Args:
        rows: What to part.
        shares: Of each part; the last takes what rounding leaves.
        seed: Of the shuffle before; None keeps the order.

    >>> [len(part) for part in split_rows(range(1100))]
    [935, 110, 55]
    """
    if abs(sum(shares) - 1) > 1e-9 or min(shares) < 0:
        raise DataError(f"shares of a split must be positive and add up to 1, got {tuple(shares)}")
    order = np.arange(len(rows)) if seed is None else _permutation(len(rows), seed, 0)
    ends = [round(len(rows) * sum(shares[: i + 1])) for i in range(len(shares))]
    ends[-1] = len(rows)
    return [[rows[i] for i in order[start:end]] for start, end in zip([0, *ends], ends, strict=False)]


def encode_rows(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    template: Template = "alpaca",
) -> EncodedRows:
    """Rows of instruction, input (may be absent) and output as ids.

    Args:
        rows: Mappings with those keys.
        tokenizer: Its `encode_ordinary` keeps user text from making special tokens.
        max_tokens: Longest input of the model; a row keeps one id more, the last label.
        template: See `instruction_prompt`.

    Raises:
        DataError: No row can be used; says why.
    """
    usable: list[Row] = []
    refused: Counter[str] = Counter()
    n_cut = 0
    for row in rows:
        fault = _fault(row)
        if not fault:
            prompt_text = instruction_prompt(row["instruction"], row.get("input") or "", template=template)
            prompt = tokenizer.encode_ordinary(prompt_text)
            ids = [*prompt, *tokenizer.encode_ordinary(row["output"]), tokenizer.eot_token]
            if len(prompt) > max_tokens:
                fault = f"with a prompt that alone fills {max_tokens} tokens"
        if fault:
            refused[fault] += 1
            continue
        n_cut += len(ids) > max_tokens + 1
        usable.append(Row(np.array(ids[: max_tokens + 1], dtype=np.int64), len(prompt)))
    encoded = EncodedRows(usable, len(rows), n_cut, dict(refused))
    if not usable:
        raise DataError(f"no row can be trained on: {encoded.report()}")
    return encoded


def rows_fingerprint(rows: Iterable[Row]) -> str:
    """SHA-256 of all ids and prompt lengths, in order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(np.array([len(row.ids), row.n_prompt], dtype="<i8").tobytes())
        digest.update(row.ids.astype("<i8").tobytes())
    return digest.hexdigest()


def collate(
    rows: Sequence[Row], *, pad_id: int, mask_prompt: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of different lengths as one batch.

    Args:
        rows: At least one.
        pad_id: What inputs are filled up with, the end-of-text by custom; labels are filled with -100.
        mask_prompt: Whether the prompt's own tokens carry no label. The first token of the response
            always does: it is what the end of the prompt predicts.

    Returns:
        (inputs, targets), each (B, T) with T one less than the longest row; targets are shifted by one.

    >>> inputs, targets = collate([Row(np.array([1, 2, 3, 9]), 2), Row(np.array([4, 9]), 1)], pad_id=9)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [4, 9, 9]], [[-100, 3, 9], [9, -100, -100]])
    """
    shape = (len(rows), max(len(row.ids) for row in rows) - 1)
    inputs = np.full(shape, pad_id, dtype=np.int64)
    targets = np.full(shape, IGNORED_LABEL, dtype=np.int64)
    for i, row in enumerate(rows):
        first = row.n_prompt - 1 if mask_prompt else 0
        n = len(row.ids) - 1
        inputs[i, :n] = row.ids[:-1]
        targets[i, first:n] = row.ids[first + 1 :]
    return inputs, targets


class RowBatches(Generic[AnyRow]):
    """An endless stream of batches of rows, shuffled anew each epoch; its place is one integer.

    Position p is row `permutation(seed, p div N)[p mod N]`. A micro-batch is `batch_size` consecutive
    positions and may hold the end of one epoch and the start of the next; rank r of W takes
    micro-batches r, r + W, …, so the order does not depend on W.

    >>> rows = [Row(np.array([i, 9]), 1) for i in range(3)]
    >>> stream = RowBatches(rows, batch_size=2, pad_id=9)
    >>> seen = [next(stream)[0][:, 0].tolist() for _ in range(3)]
    >>> sorted(seen[0] + seen[1][:1]), stream.state_dict()["position"]
    ([0, 1, 2], 6)
    """

    def __init__(
        self,
        rows: Sequence[AnyRow],
        *,
        batch_size: int,
        pad_id: int,
        mask_prompt: bool = True,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._rows, self._pad_id, self._mask_prompt = rows, pad_id, mask_prompt
        self._batch_size, self._seed, self._rank, self._world_size = batch_size, seed, rank, world_size
        self._position = 0
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        return self

    def __next__(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        start = self._position + self._rank * self._batch_size
        self._position += self._world_size * self._batch_size
        rows = [self._rows[self._index(start + i)] for i in range(self._batch_size)]
        return self._collated(rows)

    def state_dict(self) -> dict[str, Any]:
        """The place in the global order, equal on all ranks after equally many batches."""
        return {"version": 1, "position": self._position, "seed": self._seed, "n_rows": len(self._rows)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a saved place, perhaps of another number of ranks.

        Raises:
            DataError: It is a place in another order; names both values.
        """
        own = self.state_dict()
        for name in ("version", "seed", "n_rows"):
            if state.get(name) != own[name]:
                raise DataError(f"rows: {name} was {state.get(name)!r} when saved and is {own[name]!r} now")
        self._position = int(state["position"])

    def _collated(self, rows: Sequence[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One batch; what other kinds of rows than `Row` have to say for themselves."""
        return collate(rows, pad_id=self._pad_id, mask_prompt=self._mask_prompt)

    def _index(self, position: int) -> int:
        epoch, place = divmod(position, len(self._rows))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, _permutation(len(self._rows), self._seed, epoch)
        return int(self._order[place])


def _permutation(n: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """An order of range(n); of (seed, epoch) as a pair, so that no two pairs share a sequence."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, epoch)))).permutation(n)


def _fault(row: Mapping[str, Any]) -> str | None:
    """Why a row cannot be used, or None."""
    for column in _COLUMNS:
        value = row.get(column)
        if not isinstance(value, str):
            return f"without a text in {column}"
        if not value.strip():
            return f"with an empty {column}"
    if not isinstance(row.get("input") or "", str):
        return "with an input that is no text"
    return None
