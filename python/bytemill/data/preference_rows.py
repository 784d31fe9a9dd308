r"""Preference rows to pairs of ids with response masks of their own: one prompt, an answer liked, one not.

    chosen    Below is … ### Response:\n | Paris is the capital. | <|endoftext|>
    rejected  Below is … ### Response:\n | Paris, obviously.     | <|endoftext|>
    compared  no                         | yes                   | yes, once

Both answers stand behind the same prompt, and each is masked by itself, since their lengths differ. The
end-of-text counts: a model should prefer to stop where the liked answer stops. Rows that teach nothing,
such as those whose answers are equal, are counted by reason, never dropped in silence.

Free of torch: ids and labels are numpy arrays.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bytemill.data.rows import Row, RowBatches, Template, collate, instruction_prompt, rows_fingerprint
from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bytemill.data.rows import RowEncoder

__all__ = [
    "EncodedPairs",
    "Pair",
    "PairBatches",
    "collate_pairs",
    "encode_pairs",
    "preference_texts",
    "read_preferences",
]

_ANSWERS = ("chosen", "rejected")
_ASKED = {"human", "user"}
_ANSWERED = {"gpt", "assistant"}
_HEADING = "\n\n### Instruction:\n"
_RESPONSE = "\n\n### Response:\n"


@dataclass(frozen=True)
class Pair:
    """One prompt with the answer that was liked and the one that was not."""

    chosen: Row
    rejected: Row


@dataclass(frozen=True)
class EncodedPairs:
    """The usable pairs, and what became of the other rows."""

    pairs: list[Pair]
    n_given: int
    """Rows that were read."""
    n_cut: int
    """Usable pairs of which an answer was cut at the longest length."""
    refused: dict[str, int]
    """Rows that could not be used, by reason."""

    def report(self) -> str:
        """One sentence on what became of the rows.

        >>> EncodedPairs([], 9, 0, {"with chosen equal to rejected": 6}).report()
        '0 of 9 pairs used, 0 of them cut; not used: 6 with chosen equal to rejected'
        """
        text = f"{len(self.pairs)} of {self.n_given} pairs used, {self.n_cut} of them cut"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        return f"{text}; not used: {reasons}" if reasons else text

    def fingerprint(self) -> str:
        """SHA-256 of all ids and prompt lengths, in order."""
        return rows_fingerprint(row for pair in self.pairs for row in (pair.chosen, pair.rejected))


def read_preferences(path: str | Path) -> list[dict[str, Any]]:
    """The rows of a JSON file (an array of objects) or of a .jsonl file (an object a line).

    Two forms: `instruction`, `input` (may be absent), `chosen`, `rejected`; or `conversations` with
    `chosen` and `rejected` as their next turn.

    Raises:
        DataError: The file cannot be read, is of another form, or no row has a column that is
            needed; the error names the columns that are there.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        lines = [line for line in text.splitlines() if line.strip()]
        rows = [json.loads(line) for line in lines] if path.suffix == ".jsonl" else json.loads(text)
    except OSError as error:
        raise DataError(f"{path}: the rows cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON in UTF-8: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path}: expected a list of objects, one a row, and at least one")
    there = dict.fromkeys(name for row in rows for name in row)
    for column in _ANSWERS:
        if column not in there:
            raise DataError(f"{path}: no row has a column {column!r}; there are {', '.join(there)}")
    if not there.keys() & {"instruction", "conversations"}:
        raise DataError(f"{path}: no row has a column 'instruction' or 'conversations'; there are {', '.join(there)}")
    return rows


def preference_texts(row: Mapping[str, Any], *, template: Template = "alpaca") -> tuple[str, str, str] | str:
    r"""(prompt, chosen answer, rejected answer) of a row; or why it cannot be used.

    A conversation becomes one text in which instructions and responses take turns; a system's message
    stands where the template's first sentence would.

    >>> preference_texts({"instruction": "Hi!", "chosen": "Hello.", "rejected": "Hello."})
    'with chosen equal to rejected'
    >>> asked = [{"from": "system", "value": "Be brief."}, {"from": "human", "value": "Hi!"}]
    >>> preference_texts({"conversations": asked, "chosen": {"value": "Hello."}, "rejected": {"value": "What?"}})
    ('Be brief.\n\n### Instruction:\nHi!\n\n### Response:\n', 'Hello.', 'What?')
    """
    answers = []
    for name in _ANSWERS:
        answer = _text_of(row.get(name))
        if answer is None:
            return f"without a text in {name}"
        if not answer.strip():
            return f"with an empty {name}"
        answers.append(answer)
    chosen, rejected = answers
    if chosen == rejected:
        return "with chosen equal to rejected"
    prompt = _conversation_prompt(row["conversations"]) if "conversations" in row else _instruction(row, template)
    return "whose prompt is empty or of another form" if prompt is None else (prompt, chosen, rejected)


def encode_pairs(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    template: Template = "alpaca",
) -> EncodedPairs:
    """Preference rows as pairs of ids.

    Args:
        rows: As `read_preferences` gives them.
        tokenizer: Its `encode_ordinary` keeps user text from making special tokens.
        max_tokens: Longest input of the model; an answer that does not fit is cut, and then has no
            end-of-text.
        template: See `instruction_prompt`.

    Raises:
        DataError: No row can be used; says why.
    """
    pairs: list[Pair] = []
    refused: Counter[str] = Counter()
    n_cut = 0
    for row in rows:
        texts = preference_texts(row, template=template)
        found = texts if isinstance(texts, str) else _encoded(texts, tokenizer, max_tokens)
        if isinstance(found, str):
            refused[found] += 1
            continue
        pair, is_cut = found
        pairs.append(pair)
        n_cut += is_cut
    encoded = EncodedPairs(pairs, len(rows), n_cut, dict(refused))
    if not pairs:
        raise DataError(f"no row can be trained on: {encoded.report()}")
    return encoded


def collate_pairs(pairs: Sequence[Pair], *, pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs as one batch: all chosen answers, then all rejected ones in the same order.

    Returns:
        (inputs, targets), each (2B, T); targets are shifted by one, and -100 on prompt and padding.

    >>> pair = Pair(Row(np.array([1, 2, 3, 9]), 2), Row(np.array([1, 2, 9]), 2))
    >>> inputs, targets = collate_pairs([pair], pad_id=9)
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [1, 2, 9]], [[-100, 3, 9], [-100, 9, -100]])
    """
    return collate([*(pair.chosen for pair in pairs), *(pair.rejected for pair in pairs)], pad_id=pad_id)


class PairBatches(RowBatches[Pair]):
    """An endless stream of batches of pairs, in the order and with the place of `RowBatches`."""

    def _collated(self, rows: Sequence[Pair]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return collate_pairs(rows, pad_id=self._pad_id)


def _encoded(texts: tuple[str, str, str], tokenizer: RowEncoder, max_tokens: int) -> tuple[Pair, bool] | str:
    """A pair and whether an answer was cut; or why it cannot be used."""
    prompt, *answers = (tokenizer.encode_ordinary(text) for text in texts)
    if len(prompt) > max_tokens:
        return f"with a prompt that alone fills {max_tokens} tokens"
    whole = [[*prompt, *answer, tokenizer.eot_token] for answer in answers]
    chosen, rejected = (ids[: max_tokens + 1] for ids in whole)
    if chosen == rejected:
        return f"whose answers are equal within {max_tokens} tokens"
    rows = (Row(np.array(ids, dtype=np.int64), len(prompt)) for ids in (chosen, rejected))
    return Pair(*rows), any(len(ids) > max_tokens + 1 for ids in whole)


def _instruction(row: Mapping[str, Any], template: Template) -> str | None:
    instruction, input_text = row.get("instruction"), row.get("input") or ""
    if not isinstance(instruction, str) or not instruction.strip() or not isinstance(input_text, str):
        return None
    return instruction_prompt(instruction, input_text, template=template)


def _conversation_prompt(turns: Any) -> str | None:
    """One text up to where the answer begins, or None for turns that do not take turns."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return None
    told = [(str(turn.get("from", turn.get("role"))), _text_of(turn)) for turn in turns]
    system = told.pop(0)[1] if told and told[0][0] == "system" else None
    wanted = [_ANSWERED if i % 2 else _ASKED for i in range(len(told))]
    if len(told) % 2 == 0 or any(who not in role for (who, _), role in zip(told, wanted, strict=True)):
        return None
    texts = [text for _, text in told]
    if not all(text and text.strip() for text in texts):
        return None
    first = instruction_prompt(str(texts[0])) if not system else f"{system}{_HEADING}{texts[0]}{_RESPONSE}"
    return first + "".join(f"{text}{_RESPONSE if i % 2 else _HEADING}" for i, text in enumerate(texts[1:]))


def _text_of(value: Any) -> str | None:
    """A text, or the text of a message under either of the usual names."""
    if isinstance(value, dict):
        value = value.get("value", value.get("content"))
    return value if isinstance(value, str) else None
