"""The tokens of a text: the id and bytes of each, in text order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Piece", "pieces", "pieces_of_ids", "spelled"]


@dataclass(frozen=True)
class Piece:
    """One token of a text."""

    id: int
    token: bytes
    """The token's bytes; several tokens may share one character."""
    is_special: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return a JSON object: the id, the bytes in hexadecimal, and the text if the bytes are UTF-8.

        >>> Piece(97, b"a").as_dict()
        {'id': 97, 'bytes': '61', 'text': 'a'}
        """
        facts: dict[str, Any] = {"id": self.id, "bytes": self.token.hex(), "text": _text(self.token)}
        return facts | ({"special": True} if self.is_special else {})


def pieces(tokenizer: Tokenizer, text: str, *, special: bool = False) -> tuple[Piece, ...]:
    """Return the tokens of `text`.

    Args:
        tokenizer: Splits the text into tokens.
        text: Lone surrogates become U+FFFD.
        special: Whether the texts of special tokens become their ids; otherwise they are ordinary text.

    >>> from bytemill import Tokenizer
    >>> [(piece.id, piece.token) for piece in pieces(Tokenizer.train(texts=["low low"], vocab_size=259), "lower")]
    [(257, b'low'), (101, b'e'), (114, b'r')]
    """
    ids = tokenizer.encode(text, allowed_special="all" if special else (), disallowed_special=())
    return pieces_of_ids(tokenizer, ids)


def pieces_of_ids(tokenizer: Tokenizer, ids: Iterable[int]) -> tuple[Piece, ...]:
    """Return the tokens with these ids."""
    special = set(tokenizer.special_tokens.values())
    return tuple(Piece(one, tokenizer.decode_single_token_bytes(one), one in special) for one in ids)


def spelled(token: bytes) -> str:
    r"""Return a token's bytes for display: text if they are UTF-8, `\x…` for each other byte.

    >>> spelled(b" the"), spelled("北".encode()[:2]), spelled(b"\n")
    (' the', '\\xe5\\x8c', '\\n')
    """
    text = token.decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _text(token: bytes) -> str | None:
    try:
        return token.decode()
    except UnicodeDecodeError:
        return None
