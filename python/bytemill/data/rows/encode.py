r"""Encode rows as ids with a mask. Only this module decides which tokens are trained.

    instruction   Below … ### Response:\n | Paris is the capital. | <|endoftext|>   (padding)
    trained       no (unless unmasked)    | yes                   | yes, once       | never

    text          <|endoftext|> | A review of a film. | <|endoftext|>   (padding)
    trained       no            | yes                 | yes, once       | never

    conversation  … ### Response:\n | Hello! <|endoftext|> | … ### Response:\n | Bye. <|endoftext|>   (padding)
    trained       no                | yes                  | no                | yes                  | never

End-of-text is trained once per row, because a model that never sees it as a target never stops. The padding after it is
the same id and is not trained. A row that is too long is truncated and has no end-of-text, so the model does not learn
to stop in mid-sentence. A long text may become windows instead, in which each token is trained once. Rows that cannot
be used are counted by reason and reported.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from bytemill.data.rows.read import INSTRUCTION_COLUMNS
from bytemill.data.rows.templates import (
    EndOfTurn,
    Marker,
    Part,
    Template,
    Turn,
    conversation_parts,
    instruction_turns,
    turns_of_messages,
)
from bytemill.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "EncodedRows",
    "Row",
    "RowEncoder",
    "Unusable",
    "conversation_row",
    "encode_conversations",
    "encode_rows",
    "encode_texts",
    "part_ids",
    "prompt_ids",
    "rows_fingerprint",
    "text_fault",
]


_LONG_CHARACTERS = 1 << 20


class RowEncoder(Protocol):
    """The tokenizer methods that this module uses."""

    @property
    def eot_token(self) -> int:
        """Id of the end of a document."""
        ...

    def encode_ordinary(self, text: str, /) -> list[int]:
        """Return the ids of a text; a special token's text is ordinary text."""
        ...


class Unusable(Exception):  # noqa: N818 - it never leaves this package
    """The reason why a row cannot be used; the text follows the row's number."""


@dataclass(frozen=True)
class Row:
    """One example as ids; the first `n_prompt` ids are the prompt."""

    ids: NDArray[np.int64]
    n_prompt: int
    prompts_inside: tuple[tuple[int, int], ...] = ()
    """Further untrained spans (start, end): later turns of the user in a conversation."""

    def trained(self) -> NDArray[np.bool_]:
        """Return (len(ids),): whether each id is a label when prompts are masked."""
        mask = np.arange(len(self.ids)) >= self.n_prompt
        for start, end in self.prompts_inside:
            mask[start:end] = False
        return mask


@dataclass(frozen=True)
class EncodedRows:
    """The usable rows, and counts of the others."""

    rows: list[Row]
    n_given: int
    """Number of rows read."""
    n_cut: int
    """Number of usable rows that were truncated."""
    refused: dict[str, int]
    """Number of rows that cannot be used, by reason."""
    n_more: int = 0
    """Number of additional rows from long texts."""
    notes: tuple[str, ...] = ()
    """Further changes to the rows, as the end of the report."""

    def report(self) -> str:
        """Return one sentence on used, truncated and skipped rows.

        >>> EncodedRows([], 3, 0, {"empty output": 2, "empty instruction": 1}).report()
        '0 of 3 rows used, 0 of them cut; not used: 2 empty output, 1 empty instruction'
        """
        used = f"{len(self.rows) - self.n_more} of {self.n_given} rows used, {self.n_cut} of them cut"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        return "; ".join([used, *([f"not used: {reasons}"] if reasons else []), *self.notes])

    def fingerprint(self) -> str:
        """SHA-256 of all ids and masks, in order."""
        return rows_fingerprint(self.rows)


def encode_rows(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    template: Template = "alpaca",
) -> EncodedRows:
    """Encode rows of instruction, input (optional) and output.

    Args:
        rows: Mappings with these keys.
        tokenizer: Its `encode_ordinary` keeps user text from making special tokens.
        max_tokens: Maximum input length of the model; a row keeps one more id, the last label.
        template: See `conversation_parts`.

    Raises:
        DataError: No row can be used; the message says why.
    """

    def encoded(row: Mapping[str, Any]) -> Row:
        for column in INSTRUCTION_COLUMNS:
            if fault := text_fault(row, column):
                raise Unusable(fault)
        if not isinstance(row.get("input") or "", str):
            raise Unusable("with an input that is not text")
        return conversation_row([*instruction_turns(row), Turn("assistant", row["output"])], tokenizer, template)

    return _encode_all(rows, encoded, max_tokens)


def encode_texts(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    long_texts: Literal["window", "cut"] = "cut",
) -> EncodedRows:
    """Encode rows of text, each a document between two end-of-text tokens; every token is trained.

    Args:
        rows: Mappings with the key `text`.
        tokenizer: As in `encode_rows`.
        max_tokens: Maximum input length of the model.
        long_texts: How to encode a longer text. "window": as rows of `max_tokens` labels; each row begins with the last
            label of the previous row, so every token is trained once. "cut": only its beginning.

    Raises:
        DataError: No row can be used; the message says why.
    """
    end = tokenizer.eot_token

    def encoded(row: Mapping[str, Any]) -> Row:
        if fault := text_fault(row, "text"):
            raise Unusable(fault)
        return Row(_between(end, _text_ids(tokenizer, row["text"])), 1)

    if long_texts == "cut":
        return _encode_all(rows, encoded, max_tokens)
    whole = _encode_all(rows, encoded, max_tokens=None)
    windows = [
        Row(row.ids[start : start + max_tokens + 1], 1)
        for row in whole.rows
        for start in range(0, len(row.ids) - 1, max_tokens)
    ]
    n_long = sum(len(row.ids) > max_tokens + 1 for row in whole.rows)
    n_more = len(windows) - len(whole.rows)
    notes = (f"{n_long} longer than {max_tokens} tokens became {n_long + n_more} windows",) if n_long else ()
    return EncodedRows(windows, len(rows), 0, whole.refused, n_more, notes)


def encode_conversations(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: RowEncoder,
    *,
    max_tokens: int,
    template: Template = "alpaca",
) -> EncodedRows:
    """Encode conversations; every assistant turn is trained, including its end-of-text.

    Args:
        rows: Mappings with the key `messages`, see `turns_of_messages`, and optionally `chosen`, a last message.
        tokenizer: As in `encode_rows`.
        max_tokens: Maximum input length of the model.
        template: See `conversation_parts`.

    Raises:
        DataError: No row can be used; the message says why.
    """

    def encoded(row: Mapping[str, Any]) -> Row:
        messages = row.get("messages")
        if not isinstance(messages, (list, tuple)) or not messages:
            raise Unusable("without messages")
        if isinstance(row.get("chosen"), dict):  # a preference row: its chosen answer ends the conversation
            messages = [*messages, row["chosen"]]
        try:
            return conversation_row(turns_of_messages(messages), tokenizer, template)
        except ValueError as fault:
            raise Unusable(str(fault)) from None

    return _encode_all(rows, encoded, max_tokens)


def conversation_row(turns: Sequence[Turn], tokenizer: RowEncoder, template: Template) -> Row:
    """Return a conversation as ids; each answer is trained, including its end token.

    Raises:
        ValueError: The template does not support these turns, or the last turn is not an answer.
    """
    parts = conversation_parts(turns, template=template)
    if not parts[-1].is_answer:
        raise ValueError(
            "whose turns do not alternate between user and assistant, starting with user and ending with assistant"
        )
    ids: list[int] = []
    prompts: list[tuple[int, int]] = []
    for part in parts:
        start = len(ids)
        ids += part_ids(part, tokenizer)
        if not part.is_answer:
            prompts.append((start, len(ids)))
    return Row(np.array(ids, dtype=np.int64), _leading(prompts), tuple(prompts[_n_leading(prompts) :]))


def prompt_ids(turns: Sequence[Turn], tokenizer: RowEncoder, template: Template) -> list[int]:
    """Return the ids of a conversation that ends with the user's turn, up to the start of the answer.

    They equal the ids of `conversation_row` before that answer.
    """
    return [one for part in conversation_parts(turns, template=template) for one in part_ids(part, tokenizer)]


def part_ids(part: Part, tokenizer: RowEncoder) -> list[int]:
    """Return a part as ids: the template's markers as special tokens if the tokenizer has them, the rest as text."""
    special: Mapping[str, int] = getattr(tokenizer, "special_tokens", {})
    ids: list[int] = []
    text = ""
    for piece in part.pieces:
        own = special.get(piece) if isinstance(piece, Marker) else None
        if own is None and isinstance(piece, EndOfTurn):
            own = tokenizer.eot_token
        if own is None:
            text += piece
        else:
            ids += [*tokenizer.encode_ordinary(text), own]
            text = ""
    return ids + tokenizer.encode_ordinary(text)


def rows_fingerprint(rows: Iterable[Row]) -> str:
    """SHA-256 of all ids and masks, in order."""
    digest = hashlib.sha256()
    for row in rows:
        places = [len(row.ids), row.n_prompt, *(place for span in row.prompts_inside for place in span)]
        digest.update(np.array(places, dtype="<i8").tobytes())
        digest.update(row.ids.astype("<i8").tobytes())
    return digest.hexdigest()


def text_fault(row: Mapping[str, Any], column: str) -> str | None:
    """Return why a row's column is not usable text, or None."""
    value = row.get(column)
    if not isinstance(value, str):
        return f"without a text in {column}"
    return None if value.strip() else f"with an empty {column}"


def _encode_all(
    rows: Sequence[Mapping[str, Any]], encoded: Callable[[Mapping[str, Any]], Row], max_tokens: int | None
) -> EncodedRows:
    """Encode the usable rows, truncate long ones unless `max_tokens` is None, and count the unusable ones."""
    usable: list[Row] = []
    refused: Counter[str] = Counter()
    n_cut = 0
    for row in rows:
        try:
            one = encoded(row)
            if max_tokens is not None and one.n_prompt > max_tokens:
                raise Unusable(f"with a prompt that alone fills {max_tokens} tokens")
        except Unusable as fault:
            refused[str(fault)] += 1
            continue
        if max_tokens is not None and len(one.ids) > max_tokens + 1:
            n_cut += 1
            one = Row(one.ids[: max_tokens + 1].copy(), one.n_prompt, one.prompts_inside)  # frees the cut part
        usable.append(one)
    result = EncodedRows(usable, len(rows), n_cut, dict(refused))
    if not usable:
        raise DataError(f"no row can be trained on: {result.report()}")
    return result


def _text_ids(tokenizer: RowEncoder, text: str) -> Sequence[int] | NDArray[np.uint32]:
    """Return the ids of a text; for a long text as an array, which uses a tenth of a list's memory."""
    to_array = getattr(tokenizer, "encode_to_numpy", None)
    if to_array is None or len(text) < _LONG_CHARACTERS:
        return tokenizer.encode_ordinary(text)
    ids: NDArray[np.uint32] = to_array(text, disallowed_special=())
    return ids


def _between(end: int, ids: Sequence[int] | NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return (len(ids) + 2,): ids between two end-of-text ids."""
    whole = np.full(len(ids) + 2, end, dtype=np.int64)
    whole[1:-1] = ids
    return whole


def _n_leading(spans: list[tuple[int, int]]) -> int:
    """Count the spans at the beginning without a gap: a system message and the first question."""
    n, end = 0, 0
    for start, stop in spans:
        if start != end:
            break
        n, end = n + 1, stop
    return n


def _leading(spans: list[tuple[int, int]]) -> int:
    return spans[_n_leading(spans) - 1][1]
