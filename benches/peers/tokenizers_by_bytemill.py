"""A pytest plugin for the tests of Hugging Face's tokenizers, in which bytemill does byte-level BPE.

The tests still create the objects of tokenizers, as settings. Encoding, decoding, splitting and training call bytemill,
which reads the output of `to_str`. If bytemill refuses it, the test fails with the reason. Only tests that use
ByteLevel or BPE are selected. The number of calls to bytemill is recorded for each test, because tests without calls do
not test bytemill.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import tokenizers
from tokenizers import pre_tokenizers

from bytemill import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
asked: list[str] = []
"""Names of the functions below that the current test has called."""


@dataclass
class Encoding:
    """The fields of an encoding that the tests use."""

    ids: list[int]
    tokens: list[str]
    offsets: list[tuple[int, int]]


def encode(
    self: Any, text: Any, pair: Any = None, is_pretokenized: bool = False, add_special_tokens: bool = True
) -> Any:
    """`Tokenizer.encode` of one text."""
    if pair is not None or is_pretokenized or not isinstance(text, str):
        raise NotImplementedError("bytemill encodes one text at a time, not pairs and not words")
    asked.append("encode")
    ids, starts = Tokenizer.from_huggingface(self).encode_with_offsets(text, allowed_special="all")
    return Encoding(
        ids, [self.id_to_token(id_) for id_ in ids], list(zip(starts, [*starts[1:], len(text)], strict=True))
    )


def encode_batch(self: Any, texts: Any, is_pretokenized: bool = False, add_special_tokens: bool = True) -> list[Any]:
    """`Tokenizer.encode_batch`."""
    return [encode(self, text, is_pretokenized=is_pretokenized) for text in texts]


def decode(self: Any, ids: Any, skip_special_tokens: bool = True) -> str:
    """`Tokenizer.decode`."""
    asked.append("decode")
    ours = Tokenizer.from_huggingface(self)
    left_out = set(ours.special_tokens.values()) if skip_special_tokens else set()
    return ours.decode([id_ for id_ in ids if id_ not in left_out])


def pre_tokenize_str(self: Any, text: str) -> list[tuple[str, tuple[int, int]]]:
    """`ByteLevel.pre_tokenize_str`: pieces in their byte alphabet, with a vocabulary of 256 bytes."""
    model = tokenizers.models.BPE({letter: id_ for id_, letter in enumerate(ALPHABET)}, [])
    bytes_alone = tokenizers.Tokenizer(model)
    bytes_alone.pre_tokenizer, bytes_alone.decoder = self, tokenizers.decoders.ByteLevel()
    asked.append("pre_tokenize_str")
    ours = Tokenizer.from_huggingface(bytes_alone)
    pieces, at = [], 0
    for piece in ours.pretokens(text):
        letters = "".join(bytes_alone.id_to_token(id_) for id_ in ours.encode_bytes(piece))
        pieces.append((letters, (at, at := at + len(piece.decode()))))
    return pieces


def decode_tokens(self: Any, tokens: list[str]) -> str:
    """`decoders.ByteLevel.decode`: tokens in their byte alphabet to text."""
    model = tokenizers.models.BPE({token: id_ for id_, token in enumerate(dict.fromkeys([*ALPHABET, *tokens]))}, [])
    whole = tokenizers.Tokenizer(model)
    whole.pre_tokenizer, whole.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), self
    return decode(whole, [whole.token_to_id(token) for token in tokens])


def train_from_iterator(
    self: Any,
    texts: Iterable[str],
    vocab_size: int = 30_000,
    min_frequency: int = 2,
    show_progress: bool = True,
    special_tokens: Any = (),
    length: int | None = None,
) -> None:
    """`ByteLevelBPETokenizer.train_from_iterator`."""
    asked.append("train_from_iterator")
    ours = Tokenizer.train(
        texts=texts, vocab_size=vocab_size, min_frequency=min_frequency, special_tokens=tuple(special_tokens)
    )
    self._tokenizer.model = tokenizers.Tokenizer.from_str(ours.to_huggingface().backend_tokenizer.to_str()).model


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that do not use byte-level BPE."""
    taken = [item for item in items if re.search(r"ByteLevel|\bBPE\(", inspect.getsource(item.function))]
    config.hook.pytest_deselected(items=[item for item in items if item not in taken])
    items[:] = taken


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Record in the report how often the test called bytemill."""
    asked.clear()
    try:
        return (yield)
    finally:
        item.user_properties.append(("asked", len(asked)))


tokenizers.Tokenizer.encode, tokenizers.Tokenizer.encode_batch = encode, encode_batch
tokenizers.Tokenizer.decode = decode
tokenizers.decoders.ByteLevel.decode = decode_tokens
pre_tokenizers.ByteLevel.pre_tokenize_str = pre_tokenize_str
tokenizers.ByteLevelBPETokenizer.train_from_iterator = train_from_iterator
