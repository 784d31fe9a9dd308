r"""Encode preference rows as pairs of ids: one prompt with a chosen and a rejected answer, each with its mask.

    chosen    Below is … ### Response:\n | Paris is the capital. | <|endoftext|>
    rejected  Below is … ### Response:\n | Paris, obviously.     | <|endoftext|>
    compared  no                         | yes                   | yes, once

Both answers follow the same prompt, and each has its own mask, because their lengths differ. End-of-text is included: a
model should prefer to stop where the chosen answer stops. Rows that teach nothing, such as those with equal answers,
are counted by reason and reported. This module does not need torch: ids and labels are numpy arrays.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.data.rows.batches import RowBatches, collate
from bytemill.data.rows.encode import Row, Unusable, part_ids, rows_fingerprint, text_fault
from bytemill.data.rows.messages import as_preference, changes_note
from bytemill.data.rows.read import read_rows
from bytemill.data.rows.templates import (
    Part,
    Template,
    Turn,
    conversation_parts,
    instruction_turns,
    turns_of_messages,
)
from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bytemill.data.rows.encode import RowEncoder

__all__ = [
    "EncodedPairs",
    "Pair",
    "PairBatches",
    "collate_pairs",
    "encode_pairs",
    "preference_parts",
    "read_preferences",
]

_ANSWERS = ("chosen", "rejected")


@dataclass(frozen=True)
class Pair:
    """One prompt with its chosen and its rejected answer."""

    chosen: Row
    rejected: Row


@dataclass(frozen=True)
class EncodedPairs:
    """The usable pairs, and counts of the other rows."""

    pairs: list[Pair]
    n_given: int
    """Number of rows read."""
    n_cut: int
    """Number of usable pairs with a truncated answer."""
    refused: dict[str, int]
    """Number of rows that cannot be used, by reason."""
    notes: tuple[str, ...] = ()
    """Further changes to the rows, as the end of the report."""

    def report(self) -> str:
        """Return one sentence on used, truncated and skipped rows.

        >>> EncodedPairs([], 9, 0, {"with chosen equal to rejected": 6}).report()
        '0 of 9 pairs used, 0 of them cut; not used: 6 with chosen equal to rejected'
        """
        text = f"{len(self.pairs)} of {self.n_given} pairs used, {self.n_cut} of them cut"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        return "; ".join([text, *([f"not used: {reasons}"] if reasons else []), *self.notes])

    def fingerprint(self) -> str:
        """SHA-256 of all ids and prompt lengths, in order."""
        return rows_fingerprint(row for pair in self.pairs for row in (pair.chosen, pair.rejected))


def read_preferences(
    source: str | Path,
    *,
    names: Mapping[str, str | Sequence[str]] | None = None,
    setting: str = "",
    notes: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Read preference rows of a file or hub data set, in one of two forms.

    Either `instruction`, `input` (optional), `chosen` and `rejected`; or a conversation in `messages`, with `chosen`
    and `rejected` as its next turn, texts or messages. Rows with a `prompt` and answers that are lists of messages, as
    in trl, are accepted too: see `as_preference`.

    Args:
        source: As in `read_rows`.
        names: Our name of a column -> its name in the file, if the two differ.
        setting: As in `read_rows`.
        notes: As in `read_rows`.

    Raises:
        DataError: The source cannot be read, has another format, or all rows lack a required column; the message
            names the existing columns.
    """
    rows = read_rows(source, _ANSWERS, names=names, setting=setting, notes=notes)
    there = dict.fromkeys(name for row in rows for name in row)
    has_conversations = any(isinstance(row.get("chosen"), list) for row in rows)
    if not has_conversations and not there.keys() & {"instruction", "prompt", "messages"}:
        theirs = (names or {}).get("messages", "messages")
        messages = theirs if isinstance(theirs, str) else theirs[0]
        hint = f"; {setting.format('instruction')} names the column of prompts" if setting else ""
        raise DataError(
            f"{source}: no row has a column 'instruction' or {messages!r}; there are {', '.join(there)}{hint}"
        )
    return rows


def preference_parts(row: Mapping[str, Any], *, template: Template = "alpaca") -> tuple[list[Part], Part, Part]:
    r"""Return the prompt's parts, the chosen answer and the rejected answer of a row.

    Raises:
        Unusable: The row teaches nothing or has another form; the text says why.

    >>> chosen, rejected = preference_parts({"instruction": "Hi!", "chosen": "Hello.", "rejected": "What?"})[1:]
    >>> chosen.text, rejected.text
    ('Hello.', 'What?')
    """
    answers = {name: _text_of(row.get(name)) for name in _ANSWERS}
    for name in _ANSWERS:
        if fault := text_fault(answers, name):
            raise Unusable(fault)
    chosen, rejected = map(str, answers.values())
    if chosen == rejected:
        raise Unusable("with chosen equal to rejected")
    try:
        asked = _instruction(row) if row.get("messages") is None else _conversation(row["messages"])
        whole = [
            conversation_parts([*asked, Turn("assistant", answer)], template=template) for answer in (chosen, rejected)
        ]
    except ValueError as fault:
        raise Unusable(str(fault)) from None
    return whole[0][:-1], whole[0][-1], whole[1][-1]


def encode_pairs(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    template: Template = "alpaca",
) -> EncodedPairs:
    """Encode preference rows as pairs of ids.

    Args:
        rows: Rows of `read_preferences`.
        tokenizer: Its `encode_ordinary` keeps user text from making special tokens.
        max_tokens: Maximum input length of the model; a longer answer is truncated and has no end-of-text.
        template: See `conversation_parts`; answers inside a conversation have their end token, too.

    Raises:
        DataError: No row can be used; the message says why.
    """
    pairs: list[Pair] = []
    refused: Counter[str] = Counter()
    changes: Counter[str] = Counter()
    n_cut = 0
    for given in rows:
        row = as_preference(given, changes)
        try:
            parts, *answers = preference_parts(row, template=template)
            pair, is_cut = _encoded(parts, answers, tokenizer, max_tokens)
        except Unusable as fault:
            refused[str(fault)] += 1
            continue
        pairs.append(pair)
        n_cut += is_cut
    encoded = EncodedPairs(pairs, len(rows), n_cut, dict(refused), changes_note(changes))
    if not pairs:
        raise DataError(f"no row can be trained on: {encoded.report()}")
    return encoded


def collate_pairs(pairs: Sequence[Pair], *, pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs as one batch: all chosen answers, then all rejected ones in the same order.

    Returns:
        (inputs, targets), each (2B, T); targets are shifted by one, and -100 on prompt and padding.

    >>> pair = Pair(Row(np.array([1, 2, 3, 9]), 2), Row(np.array([1, 2, 9]), 2))
    >>> inputs, targets = collate_pairs([pair], pad_id=9)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [1, 2, 9]], [[-100, 3, 9], [-100, 9, -100]])
    """
    return collate([*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)], pad_id=pad_id)


class PairBatches(RowBatches[Pair]):
    """An endless stream of batches of pairs, with the order and position of `RowBatches`."""

    def _collated(self, rows: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return collate_pairs(rows, pad_id=self._pad_id)


def _encoded(
    parts: Sequence[Part], answers: Sequence[Part], tokenizer: RowEncoder, max_tokens: int
) -> tuple[Pair, bool]:
    """Return a pair, and whether an answer was truncated."""
    prompt = [one for part in parts for one in part_ids(part, tokenizer)]
    if len(prompt) > max_tokens:
        raise Unusable(f"with a prompt that alone fills {max_tokens} tokens")
    whole = [[*prompt, *part_ids(answer, tokenizer)] for answer in answers]
    chosen, rejected = (ids[: max_tokens + 1] for ids in whole)
    if chosen == rejected:
        raise Unusable(f"whose answers are equal within {max_tokens} tokens")
    rows = (Row(np.array(ids, dtype=np.int64), len(prompt)) for ids in (chosen, rejected))
    return Pair(*rows), any(len(ids) > max_tokens + 1 for ids in whole)


def _instruction(row: Mapping[str, Any]) -> list[Turn]:
    if fault := text_fault(row, "instruction"):
        raise Unusable(fault)
    if not isinstance(row.get("input") or "", str):
        raise Unusable("with an input that is not text")
    return instruction_turns(row)


def _conversation(messages: Any) -> list[Turn]:
    if not isinstance(messages, list | tuple):
        raise Unusable("without messages")
    return turns_of_messages(messages)


def _text_of(value: Any) -> Any:
    """Return a text unchanged, or the text of a message under either of the usual keys."""
    return value.get("value", value.get("content")) if isinstance(value, dict) else value
