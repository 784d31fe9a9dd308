"""Compare tokenizers: token counts of texts, pieces of words, first and last vocabulary entries."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bytemill.errors import ArgumentError
from bytemill.tokenizer.pieces import Piece, pieces, pieces_of_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["TextCount", "TokenizerComparison", "VocabularyEnds", "WordPieces", "compare"]

N_ENDS = 10


@dataclass(frozen=True)
class TextCount:
    """Token counts of one text."""

    name: str
    n_bytes: int
    n_characters: int
    n_tokens: dict[str, int]
    """Number of tokens, by tokenizer."""

    def bytes_per_token(self, tokenizer: str) -> float:
        """Return the mean bytes per token for a tokenizer; NaN for an empty text."""
        n_tokens = self.n_tokens[tokenizer]
        return self.n_bytes / n_tokens if n_tokens else float("nan")


@dataclass(frozen=True)
class WordPieces:
    """One word, split by each tokenizer."""

    word: str
    pieces: dict[str, tuple[Piece, ...]]


@dataclass(frozen=True)
class VocabularyEnds:
    """A vocabulary's size and its first and last entries, by id."""

    n_vocab: int
    n_merges: int
    first: tuple[Piece, ...]
    last: tuple[Piece, ...]


@dataclass(frozen=True)
class TokenizerComparison:
    """The result of `compare`."""

    names: tuple[str, ...]
    texts: tuple[TextCount, ...]
    words: tuple[WordPieces, ...]
    vocabularies: dict[str, VocabularyEnds]

    def as_dict(self) -> dict[str, Any]:
        """Return all figures for JSON."""
        texts = [
            asdict(text) | {"bytes_per_token": {name: text.bytes_per_token(name) for name in self.names}}
            for text in self.texts
        ]
        words = [
            {"word": word.word, "pieces": {name: _dicts(found) for name, found in word.pieces.items()}}
            for word in self.words
        ]
        vocabularies = {
            name: {
                "n_vocab": ends.n_vocab,
                "n_merges": ends.n_merges,
                "first": _dicts(ends.first),
                "last": _dicts(ends.last),
            }
            for name, ends in self.vocabularies.items()
        }
        return {"tokenizers": list(self.names), "texts": texts, "words": words, "vocabularies": vocabularies}


def compare(
    tokenizers: Mapping[str, Tokenizer], texts: Mapping[str, str], words: Sequence[str] = ()
) -> TokenizerComparison:
    """Count the tokens of texts and split words with each tokenizer; special tokens are ordinary text.

    Raises:
        ArgumentError: No tokenizer is given.

    >>> from bytemill import Tokenizer
    >>> plain, trained = (Tokenizer.train(texts=["low low"], vocab_size=size) for size in (257, 259))
    >>> found = compare({"plain": plain, "trained": trained}, {"a line": "low lower"}, ["low"])
    >>> found.texts[0].n_tokens, [piece.token for piece in found.words[0].pieces["trained"]]
    ({'plain': 9, 'trained': 5}, [b'low'])
    """
    if not tokenizers:
        raise ArgumentError("no tokenizer was given; give at least one")
    return TokenizerComparison(
        names=tuple(tokenizers),
        texts=tuple(_count(name, text, tokenizers) for name, text in texts.items()),
        words=tuple(
            WordPieces(word, {name: pieces(tokenizer, word) for name, tokenizer in tokenizers.items()})
            for word in words
        ),
        vocabularies={name: _ends(tokenizer) for name, tokenizer in tokenizers.items()},
    )


def _count(name: str, text: str, tokenizers: Mapping[str, Tokenizer]) -> TextCount:
    n_tokens = {label: tokenizer.count(text) for label, tokenizer in tokenizers.items()}
    return TextCount(name, len(text.encode(errors="replace")), len(text), n_tokens)


def _ends(tokenizer: Tokenizer) -> VocabularyEnds:
    ids = tokenizer.token_ids()
    first, last = pieces_of_ids(tokenizer, ids[:N_ENDS]), pieces_of_ids(tokenizer, ids[-N_ENDS:])
    return VocabularyEnds(tokenizer.n_vocab, len(tokenizer.merges), first, last)


def _dicts(found: Iterable[Piece]) -> list[dict[str, Any]]:
    return [piece.as_dict() for piece in found]
