"""The entries of a vocabulary as rows: bytes, text, length, and the two tokens that each was merged from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Entry", "containing", "entries"]


@dataclass(frozen=True)
class Entry:
    """One entry of a vocabulary.

    >>> Entry(257, b"low", parts=(256, 119)).as_dict()
    {'id': 257, 'bytes': '6c6f77', 'text': 'low', 'length': 3, 'special': False, 'left': 256, 'right': 119}
    """

    id: int
    token: bytes
    is_special: bool = False
    parts: tuple[int, int] | None = None
    """The ids that are merged to this one, left and right; None for bytes, special tokens and added ones."""

    @property
    def text(self) -> str | None:
        """The token as text; None if its bytes are not whole UTF-8 characters."""
        try:
            return self.token.decode()
        except UnicodeDecodeError:
            return None

    def as_dict(self) -> dict[str, Any]:
        """Return the columns of a CSV file or the fields of a JSON object; bytes in hex, length in bytes."""
        left, right = self.parts or (None, None)
        return {
            "id": self.id,
            "bytes": self.token.hex(),
            "text": self.text,
            "length": len(self.token),
            "special": self.is_special,
            "left": left,
            "right": right,
        }


def entries(tokenizer: Tokenizer, first: int = 0, last: int | None = None) -> Iterator[Entry]:
    """Yield the entries with ids from `first` to `last`, both included; unused ids are skipped.

    >>> from bytemill import Tokenizer
    >>> tokenizer = Tokenizer.train(texts=["low lower"], vocab_size=259)
    >>> [(one.id, one.token, one.parts) for one in entries(tokenizer, first=256)]
    [(256, b'lo', (108, 111)), (257, b'low', (256, 119)), (258, b'<|endoftext|>', None)]
    """
    special = {one: text.encode() for text, one in tokenizer.special_tokens.items()}
    parts = _parts(tokenizer)
    end = tokenizer.n_vocab if last is None else min(last + 1, tokenizer.n_vocab)
    for one in range(first, end):
        if one in special:
            yield Entry(one, special[one], is_special=True)
            continue
        try:
            token = tokenizer.decode_single_token_bytes(one)
        except KeyError:
            continue
        yield Entry(one, token, parts=parts.get(one))


def containing(
    *, text: str | None = None, regex: str | None = None, data: bytes | None = None
) -> Callable[[Entry], bool]:
    """Return a test for entries that contain a text, a match of a regular expression, or some bytes.

    Args:
        text: Text in the token.
        regex: A regular expression of Python, for tokens that are whole characters.
        data: Bytes in the token.

    Raises:
        ArgumentError: The regular expression is not valid.
    """
    try:
        pattern = None if regex is None else re.compile(regex)
    except re.error as error:
        raise ArgumentError(f"the regular expression {regex!r} is not valid: {error}") from None
    wanted = [one for one in (None if text is None else text.encode(), data) if one is not None]

    def fits(entry: Entry) -> bool:
        if not all(one in entry.token for one in wanted):
            return False
        return pattern is None or (entry.text is not None and pattern.search(entry.text) is not None)

    return fits


def _parts(tokenizer: Tokenizer) -> dict[int, tuple[int, int]]:
    """Return for each merged token the ids of its two parts; of several merges with the same result, the first."""
    id_of = tokenizer.encode_single_token
    found: dict[int, tuple[int, int]] = {}
    for left, right in tokenizer.merges:
        found.setdefault(id_of(left + right), (id_of(left), id_of(right)))
    return found
