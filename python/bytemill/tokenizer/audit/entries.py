"""Find the entries of a vocabulary that no text can produce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Reachability", "every_token", "reachability"]

# Bytes that never occur in UTF-8: two would begin overlong forms, the others are beyond the last code point.
_NEVER_IN_UTF8 = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})


@dataclass(frozen=True)
class Reachability:
    """Ids by whether a text can produce them, after Land & Bartolo 2024, "Fishing for Magikarp", section 3.1."""

    reachable: tuple[int, ...]
    """Encoding their own text gives these ids."""
    partial: tuple[int, ...]
    """Their bytes alone are not text, but can be part of a text."""
    impossible: tuple[int, ...]
    """They contain a byte that never occurs in text."""
    unreachable: tuple[int, ...]
    """Encoding their own text gives other ids: no merge makes them, or the pattern splits them."""


def every_token(tokenizer: Tokenizer) -> dict[int, bytes]:
    """Return the bytes of every id, without special tokens and ids that the vocabulary skips."""
    special = set(tokenizer.special_tokens.values())
    return {one: tokenizer.decode_single_token_bytes(one) for one in tokenizer.token_ids() if one not in special}


def reachability(tokenizer: Tokenizer) -> Reachability:
    """Encode the text of every token and compare the ids.

    >>> from bytemill import Tokenizer
    >>> found = reachability(Tokenizer.train(texts=["low low"], vocab_size=259))
    >>> len(found.reachable), len(found.partial), len(found.impossible), found.unreachable
    (130, 115, 13, ())
    """
    whole: dict[int, str] = {}
    partial: list[int] = []
    impossible: list[int] = []
    for one, token in every_token(tokenizer).items():
        try:
            whole[one] = token.decode()
        except UnicodeDecodeError:
            (impossible if _NEVER_IN_UTF8.intersection(token) else partial).append(one)
    encoded = tokenizer.encode_batch(list(whole.values()), threads=1, disallowed_special=())
    reachable = [one for one, ids in zip(whole, encoded, strict=True) if ids == [one]]
    unreachable = [one for one, ids in zip(whole, encoded, strict=True) if ids != [one]]
    return Reachability(tuple(reachable), tuple(partial), tuple(impossible), tuple(unreachable))
