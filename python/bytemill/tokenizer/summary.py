"""What a notebook shows of a tokenizer: its size, its pattern, and its first and last merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.notebook.fragments import coloured, facts
from bytemill.tokenizer.pieces import spelled

if TYPE_CHECKING:
    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["summary"]

_SHOWN_TOKENS = 24


def summary(tokenizer: Tokenizer) -> str:
    """Return a table of facts, and the tokens of the first and the last merges, as HTML."""
    merges, special = tokenizer.merges, tokenizer.special_tokens
    rows = {
        "ids": f"{tokenizer.n_vocab:,}",
        "merges": f"{len(merges):,}",
        "special tokens": ", ".join(f"{name} ({number})" for name, number in special.items()) or "none",
        "pattern": tokenizer.pattern or "none: the text is not split",
        "fingerprint": tokenizer.fingerprint[:12],
    }
    tokens = [left + right for left, right in merges]
    strips = {"The first merges": tokens[:_SHOWN_TOKENS], "The last merges": tokens[_SHOWN_TOKENS:][-_SHOWN_TOKENS:]}
    return facts("Tokenizer", rows) + "".join(
        f"<div>{title}</div>{_strip(tokenizer, shown)}" for title, shown in strips.items() if shown
    )


def _strip(tokenizer: Tokenizer, tokens: list[bytes]) -> str:
    return coloured((spelled(token), tokenizer.encode_single_token(token), False) for token in tokens)
