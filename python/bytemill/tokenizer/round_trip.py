"""Check that decoding the ids of a text returns the same text, and find the characters that differ.

Byte-level BPE is lossless for any text. Losses happen earlier: a program that reads bytes that are not UTF-8 as text
replaces them by U+FFFD. A tokenizer that normalizes text returns the normalized text; such differences are reported
with their reason.
"""

from __future__ import annotations

import difflib
import itertools
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Difference", "RoundTrip", "check_round_trip", "differences"]

MOST_DIFFERENCES = 1_000


@dataclass(frozen=True)
class Difference:
    """A run of characters that changed."""

    line: int
    """Line in the original, from 1."""
    column: int
    """Column in characters, from 1."""
    was: str
    """The original characters; a byte that is not UTF-8 is a lone surrogate, from U+DC80 up."""
    became: str


@dataclass(frozen=True)
class RoundTrip:
    """The result for one text."""

    n_bytes: int
    n_characters: int
    n_tokens: int
    differences: tuple[Difference, ...]
    """The first thousand differences."""
    normalization: str | None = None
    """What changed the text before encoding, such as "NFC", if it explains all differences."""

    @property
    def is_lossless(self) -> bool:
        """Whether every byte is unchanged."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """Return the result for JSON; bytes that are not text are escaped."""
        facts = asdict(self)
        facts["differences"] = [
            {name: _json_text(value) for name, value in difference.items()} for difference in facts["differences"]
        ]
        return {"lossless": self.is_lossless, **facts}


def check_round_trip(tokenizer: Tokenizer, data: bytes) -> RoundTrip:
    r"""Encode and decode a text as a program that reads a file would.

    >>> from bytemill import Tokenizer
    >>> tokenizer = Tokenizer.train(texts=["low low"], vocab_size=259)
    >>> check_round_trip(tokenizer, "low 北\r\n".encode()).is_lossless
    True
    >>> check_round_trip(tokenizer, b"low\n l\xffw").differences
    (Difference(line=2, column=3, was='\udcff', became='\ufffd'),)
    """
    original = data.decode("utf-8", "surrogateescape")
    text = data.decode("utf-8", "replace")
    ids = tokenizer.encode_ordinary(text)
    returned = tokenizer.decode(ids)
    found = tuple(itertools.islice(differences(original, returned), MOST_DIFFERENCES))
    is_normalized = bool(found) and text == original and tokenizer.normalized(text) == returned
    normalization = tokenizer.normalizer if is_normalized else None
    return RoundTrip(len(data), len(original), len(ids), found, normalization)


def differences(original: str, returned: str) -> Iterator[Difference]:
    """Yield each run of characters that differs, in order; nothing for equal texts.

    >>> list(differences("one two", "one ten"))
    [Difference(line=1, column=6, was='wo', became='en')]
    """
    lines, others = original.split("\n"), returned.split("\n")
    if len(lines) == len(others):
        for number, (line, other) in enumerate(zip(lines, others, strict=True), start=1):
            if line != other:
                yield from _in_line(number, line, other)
        return
    for kind, start, end, other_start, other_end in _opcodes(lines, others):
        if kind != "equal":
            was, became = "\n".join(lines[start:end]), "\n".join(others[other_start:other_end])
            yield Difference(start + 1, 1, was, became)


def _in_line(number: int, line: str, other: str) -> Iterator[Difference]:
    for kind, start, end, other_start, other_end in _opcodes(line, other):
        if kind != "equal":
            yield Difference(number, start + 1, line[start:end], other[other_start:other_end])


def _opcodes(original: Sequence[str], returned: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    return difflib.SequenceMatcher(None, original, returned, autojunk=False).get_opcodes()


def _json_text(value: object) -> object:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value
