"""A replacement for the module `rustbpe` that nanochat imports: bytemill trains the vocabularies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill import Tokenizer as Trained

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Tokenizer"]


class Tokenizer:
    """The interface of rustbpe.Tokenizer for training and its results."""

    def train_from_iterator(self, texts: Iterable[str], vocab_size: int, pattern: str) -> None:
        self.trained = Trained.train(texts=texts, vocab_size=vocab_size, pattern=pattern, special_tokens=())

    def get_pattern(self) -> str | None:
        return self.trained.pattern

    def get_mergeable_ranks(self) -> list[tuple[bytes, int]]:
        return self.trained.ranks()
