"""A replacement for the module `tiktoken` in tiktoken's own tests: bytemill encodes and decodes.

`BYTEMILL_VOCABULARIES` is a folder with `NAME.tiktoken` files, because nothing is downloaded here.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from bytemill import Tokenizer

__all__ = ["Encoding", "get_encoding", "list_encoding_names"]

PATTERNS = {"r50k_base": "gpt2", "cl100k_base": "cl100k", "o200k_base": "o200k"}
SPECIAL_TOKENS = {
    "r50k_base": {"<|endoftext|>": 50_256},
    "cl100k_base": {
        "<|endoftext|>": 100_257,
        "<|fim_prefix|>": 100_258,
        "<|fim_middle|>": 100_259,
        "<|fim_suffix|>": 100_260,
        "<|endofprompt|>": 100_276,
    },
    "o200k_base": {"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018},
}


class Encoding:
    """The interface of tiktoken.Encoding, implemented with a bytemill.Tokenizer."""

    def __init__(
        self, name: str, *, pat_str: str, mergeable_ranks: dict[bytes, int], special_tokens: dict[str, int]
    ) -> None:
        self.name, self._pat_str = name, pat_str
        self._mergeable_ranks, self._special_tokens = mergeable_ranks, special_tokens
        self._tokenizer = Tokenizer.from_tiktoken(self)

    def __getattr__(self, name: str) -> Any:
        """Return bytemill's attribute of the same name; private names are not part of the interface."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._tokenizer, name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.name, self._pat_str, self._mergeable_ranks, self._special_tokens)

    @property
    def max_token_value(self) -> int:
        return self._tokenizer.n_vocab - 1

    def encode_ordinary_batch(self, texts: list[str], *, num_threads: int = 8) -> list[list[int]]:
        return self._tokenizer.encode_batch(texts, threads=num_threads, disallowed_special=())

    def _encode_bytes(self, data: bytes) -> list[int]:
        return self._tokenizer.encode_bytes(data)


def _restored(name: str, pat_str: str, ranks: dict[bytes, int], special_tokens: dict[str, int]) -> Encoding:
    return Encoding(name, pat_str=pat_str, mergeable_ranks=ranks, special_tokens=special_tokens)


def list_encoding_names() -> list[str]:
    """Return the names of the available vocabularies."""
    return [name for name in PATTERNS if (_folder() / f"{name}.tiktoken").exists()]


@cache
def get_encoding(name: str) -> Encoding:
    """Return a vocabulary by tiktoken's name."""
    name = {"gpt2": "r50k_base"}.get(name, name)
    loaded = Tokenizer.load(
        _folder() / f"{name}.tiktoken", pattern=PATTERNS.get(name), special_tokens=SPECIAL_TOKENS.get(name)
    )
    assert loaded.pattern is not None
    return _restored(name, loaded.pattern, dict(loaded.ranks()), loaded.special_tokens)


def _folder() -> Path:
    return Path(os.environ["BYTEMILL_VOCABULARIES"])
