"""The HellaSwag benchmark: which of four endings continues a story (Zellers et al., "HellaSwag", 2019).

GPT-2 is too small to answer a question, so this compares losses: the model chooses the ending with the lowest mean loss
after the context. It uses the mean, because the sum would favour short endings. Guessing scores 0.25. The prompt has no
examples (zero-shot).

The rule is that of build-nanogpt's hellaswag.py, so that results are comparable with GPT-2's 0.2955. Context and ending
are encoded separately; the ending is encoded as one space plus its text in the file, including leading spaces.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F

from bytemill.errors import DataError
from bytemill.json_reader import MAX_ROWS_BYTES, parse_object, read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["REFERENCE_SCORES", "HellaSwagItem", "HellaSwagScore", "ending_losses", "hellaswag_score", "read_hellaswag"]

REFERENCE_SCORES = {"GPT-2 124M": 0.2955, "GPT-3 124M": 0.337}
"""Published accuracies on all 10,042 items: OpenAI's GPT-2 with this rule, and the smallest GPT-3 model."""


class _Encoder(Protocol):
    def encode_ordinary(self, text: str, /) -> list[int]: ...


@dataclass(frozen=True)
class HellaSwagItem:
    """A context, its four endings, and the index of the correct one."""

    context: str
    endings: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class HellaSwagScore:
    """The number of correctly answered items.

    >>> score = HellaSwagScore(n_right=300, n_items=1000)
    >>> score.accuracy, round(score.standard_error, 4)
    (0.3, 0.0145)
    """

    n_right: int
    n_items: int

    @property
    def accuracy(self) -> float:
        """Fraction of items answered correctly."""
        return self.n_right / self.n_items

    @property
    def standard_error(self) -> float:
        """Standard error of the accuracy, if the items are a random sample of all stories."""
        return math.sqrt(self.accuracy * (1 - self.accuracy) / self.n_items)

    def as_metrics(self) -> dict[str, float]:
        """Return the metrics by the names that the training loop logs."""
        return {"hellaswag": self.accuracy, "hellaswag_error": self.standard_error}


def read_hellaswag(path: str | Path) -> list[HellaSwagItem]:
    """Read the items of a JSON-lines file with `ctx`, `endings` and `label`, such as the authors' hellaswag_val.jsonl.

    Raises:
        DataError: The file cannot be read, or a line is not such an item; the error names the line.
    """
    path = Path(path)
    try:
        text = read_regular_file(path, max_bytes=MAX_ROWS_BYTES, error=DataError).decode()
        lines = text.split("\n")  # not splitlines: JSON may contain U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: the items cannot be read: {error}") from None
    items = [_item(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line.strip()]
    if not items:
        raise DataError(f"{path}: contains no items")
    return items


def hellaswag_score(
    model: torch.nn.Module,
    tokenizer: _Encoder,
    items: Sequence[HellaSwagItem],
    *,
    n_positions: int,
    batch_items: int = 8,
    strip_endings: bool = False,
    shown: Callable[[int], None] | None = None,
) -> HellaSwagScore:
    """Let `model` choose an ending for each item, and count the correct ones.

    Args:
        model: `model(ids)` returns (logits (B, T, V), anything).
        tokenizer: The model's tokenizer.
        items: Items to answer.
        n_positions: The model's context; a longer item is truncated at its beginning.
        batch_items: Items per batch; each has four rows.
        strip_endings: Remove spaces at the start of endings. The published results keep them.
        shown: Called with the number of finished items.
    """
    n_right = n_done = 0
    for batch in _batches(items, batch_items):
        losses = ending_losses(model, tokenizer, batch, n_positions=n_positions, strip_endings=strip_endings)
        n_right += sum(int(row.argmin()) == item.label for row, item in zip(losses, batch, strict=True))
        n_done += len(batch)
        if shown is not None:
            shown(n_done)
    return HellaSwagScore(n_right, len(items))


@torch.no_grad()
def ending_losses(
    model: torch.nn.Module,
    tokenizer: _Encoder,
    items: Sequence[HellaSwagItem],
    *,
    n_positions: int,
    strip_endings: bool = False,
) -> torch.Tensor:
    """Return the mean loss in nats of each ending's tokens after its context: (items, endings) in fp32, in eval mode.

    The arguments are those of `hellaswag_score`.
    """
    device = next(model.parameters()).device
    rows = [
        _row(tokenizer, item.context, ending.lstrip() if strip_endings else ending, n_positions)
        for item in items
        for ending in item.endings
    ]
    width = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    asked = torch.zeros(len(rows), width, dtype=torch.bool)
    for row, (row_ids, n_context) in enumerate(rows):
        ids[row, : len(row_ids)] = torch.tensor(row_ids)
        asked[row, n_context : len(row_ids)] = True
    ids, asked = ids.to(device), asked.to(device)
    was_training = model.training
    model.eval()
    try:
        logits = model(ids[:, :-1])[0].float()
    finally:
        model.train(was_training)
    losses = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").view(len(rows), -1)
    asked = asked[:, 1:]
    means = (losses * asked).sum(dim=1) / asked.sum(dim=1)
    return means.view(len(items), -1).cpu()


def _row(tokenizer: _Encoder, context: str, ending: str, n_positions: int) -> tuple[list[int], int]:
    """Return the ids of context and ending, and how many of them belong to the context."""
    context_ids = tokenizer.encode_ordinary(context)
    ending_ids = tokenizer.encode_ordinary(" " + ending)
    if len(ending_ids) >= n_positions:
        raise DataError(
            f"an ending of {len(ending_ids)} tokens leaves no room for its context in {n_positions} positions"
        )
    kept = context_ids[max(0, len(context_ids) + len(ending_ids) - n_positions) :]
    if not kept:
        raise DataError(f"the context of the ending {ending!r} is empty")
    return kept + ending_ids, len(kept)


def _batches(items: Sequence[HellaSwagItem], size: int) -> Iterable[Sequence[HellaSwagItem]]:
    """Split the items into batches in file order; sorting by length would pad less, but make progress uneven."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _item(line: str, place: str) -> HellaSwagItem:
    try:
        fields = parse_object(line, place, error=DataError)
        item = HellaSwagItem(str(fields["ctx"]), tuple(map(str, fields["endings"])), int(fields["label"]))
    except DataError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(f"{place}: expected an object with ctx, endings and label: {error!r}") from None
    if len(item.endings) != 4 or not 0 <= item.label < 4:
        raise DataError(f"{place}: expected four endings and a label from 0 to 3")
    return item
