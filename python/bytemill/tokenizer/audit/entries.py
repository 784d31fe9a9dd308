"""All entries of a vocabulary, and which of them no text can ever become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["Reachability", "every_token", "reachability"]

# Bytes that UTF-8 never holds: two that would begin overlong forms, and those beyond the last code point.
_NEVER_IN_UTF8 = frozenset({0xC0, 0xC1, *range(0xF5, 0x100)})


@dataclass(frozen=True)
class Reachability:
    """Ids by whether some text becomes them, after Land & Bartolo 2024, "Fishing for Magikarp", section 3.1."""

    reachable: tuple[int, ...]
    """Their own text becomes them."""
    partial: tuple[int, ...]
    """Their bytes are no text by themselves, but part of some."""
    impossible: tuple[int, ...]
    """They hold a byte that no text holds."""
    unreachable: tuple[int, ...]
    """Their own text becomes other ids: no merge ends in them, or the pattern cuts them."""


def every_token(tokenizer: Tokenizer) -> dict[int, bytes]:
    """The bytes of every id, without special tokens; ids that the vocabulary leaves out are missing."""
    special = set(tokenizer.special_tokens.values())
    return {one: tokenizer.decode_single_token_bytes(one) for one in tokenizer.token_ids() if one not in special}


def reachability(tokenizer: Tokenizer) -> Reachability:
    """Encode the text of every token and see what comes back.

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
