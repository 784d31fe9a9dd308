"""Does a text come back from its ids as it was? Where it does not: which characters, and where.

Byte-level BPE loses nothing of any text. What is lost is lost before: bytes that are not UTF-8 are no text, and a
program that reads them as text puts U+FFFD in their place. A tokenizer that normalizes text gives back the normalized
text; such differences are reported with their reason.
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
    """A stretch of characters that came back as another."""

    line: int
    """Of the original, from 1."""
    column: int
    """In characters, from 1."""
    was: str
    """A byte that is no UTF-8 stands as a lone surrogate, U+DC80 and on."""
    became: str


@dataclass(frozen=True)
class RoundTrip:
    """What became of one text."""

    n_bytes: int
    n_characters: int
    n_tokens: int
    differences: tuple[Difference, ...]
    """The first thousand of them."""
    normalization: str | None = None
    """What changed the text before it was encoded, such as "NFC", where that explains all of the differences."""

    @property
    def is_lossless(self) -> bool:
        """Whether every byte came back."""
        return not self.differences

    def as_dict(self) -> dict[str, Any]:
        """For JSON; what is no text is escaped."""
        facts = asdict(self)
        facts["differences"] = [
            {name: _json_text(value) for name, value in difference.items()} for difference in facts["differences"]
        ]
        return {"lossless": self.is_lossless, **facts}


def check_round_trip(tokenizer: Tokenizer, data: bytes) -> RoundTrip:
    r"""Encode and decode a text as a program would that reads a file.

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
    """Each stretch of characters that differs, in order; nothing for equal texts.

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
