"""What nanochat imports as `rustbpe`: vocabularies trained by bytemill."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill import Tokenizer as Trained

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Tokenizer"]


class Tokenizer:
    """rustbpe.Tokenizer's names for training and for what comes out of it."""

    def train_from_iterator(self, texts: Iterable[str], vocab_size: int, pattern: str) -> None:
        self.trained = Trained.train(texts=texts, vocab_size=vocab_size, pattern=pattern, special_tokens=())

    def get_pattern(self) -> str | None:
        return self.trained.pattern

    def get_mergeable_ranks(self) -> list[tuple[bytes, int]]:
        return self.trained.ranks()
