"""A replacement for the module `minbpe` in minbpe's own tests: its three tokenizers, implemented with bytemill.

These tests compare with the installed tiktoken, which gets its vocabulary here, because nothing is downloaded.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tiktoken

from bytemill import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BasicTokenizer", "GPT4Tokenizer", "RegexTokenizer"]

GPT4_SPECIAL_TOKENS = {
    "<|endoftext|>": 100_257,
    "<|fim_prefix|>": 100_258,
    "<|fim_middle|>": 100_259,
    "<|fim_suffix|>": 100_260,
    "<|endofprompt|>": 100_276,
}
GPT4 = Tokenizer.load(
    Path(os.environ["BYTEMILL_VOCABULARIES"]) / "cl100k_base.tiktoken",
    pattern="cl100k",
    special_tokens=GPT4_SPECIAL_TOKENS,
)


class Ranks:
    """The attributes of an encoding that `Tokenizer.from_tiktoken` reads."""

    name = "minbpe"

    def __init__(self, ranks: dict[bytes, int], pattern: str | None, special_tokens: dict[str, int]) -> None:
        self._mergeable_ranks, self._pat_str, self._special_tokens = ranks, pattern, special_tokens


class BasicTokenizer:
    """Merges bytes across the whole text."""

    pattern: str | None = None

    def __init__(self) -> None:
        self.tokenizer = self._made({bytes([byte]): byte for byte in range(256)}, {})

    def _made(self, ranks: dict[bytes, int], special_tokens: dict[str, int]) -> Tokenizer:
        return Tokenizer.from_tiktoken(Ranks(ranks, self.pattern or r"[\s\S]+", special_tokens))

    def train(self, text: str, vocab_size: int) -> None:
        self.tokenizer = Tokenizer.train(
            texts=[text], vocab_size=vocab_size, pattern=self.pattern, special_tokens=(), ties="first_seen"
        )

    def encode(self, text: str, allowed_special: Any = "none_raise") -> list[int]:
        if allowed_special == "none_raise":
            return self.tokenizer.encode(text)
        return self.tokenizer.encode(text, allowed_special=allowed_special, disallowed_special=())

    def decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode(list(ids))


class RegexTokenizer(BasicTokenizer):
    """Splits the text first."""

    pattern = "cl100k"

    def _made(self, ranks: dict[bytes, int], special_tokens: dict[str, int]) -> Tokenizer:
        assert GPT4.pattern is not None
        return Tokenizer.from_tiktoken(Ranks(ranks, GPT4.pattern, special_tokens))

    def register_special_tokens(self, special_tokens: dict[str, int]) -> None:
        self.tokenizer = self._made(dict(self.tokenizer.ranks()), special_tokens)

    def save(self, prefix: str) -> None:
        self.tokenizer.save(f"{prefix}.model", format="readable")
        Path(f"{prefix}.vocab").touch()  # only for people to read; the test removes it

    def load(self, path: str) -> None:
        self.tokenizer = Tokenizer.load(path)


class GPT4Tokenizer(RegexTokenizer):
    """GPT-4's vocabulary."""

    def __init__(self) -> None:
        self.tokenizer = GPT4


def _theirs(name: str) -> tiktoken.Encoding:
    """Return the installed tiktoken's encoding of this name, made from the local file."""
    assert name == "cl100k_base"
    return tiktoken.Encoding(
        name, pat_str=GPT4.pattern or "", mergeable_ranks=dict(GPT4.ranks()), special_tokens=GPT4_SPECIAL_TOKENS
    )


tiktoken.get_encoding = _theirs
