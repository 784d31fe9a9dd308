"""The core equals byte-level BPE by its definition, `bytemill.tokenizer.plain`."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill import Tokenizer
from bytemill.tokenizer.plain import GPT2_PATTERN, Merges, decode, encode, train, vocabulary

FEW_LETTERS = st.text(alphabet="ab ", max_size=300)
WORDS = st.text(alphabet="abé北 12'sß\n", max_size=300)
# Name of a pattern, and the pattern; with \d, text between matches is a word of its own.
PATTERNS = [("gpt2", GPT2_PATTERN), (r"\d", r"\d"), (r"\w+|\W+", r"\w+|\W+")]


def trained(data: str | bytes, vocab_size: int, pattern: str | None = None) -> Tokenizer:
    return Tokenizer.train(texts=[data], vocab_size=vocab_size, pattern=pattern, ties="first_seen", special_tokens=())


def as_bytes(merges: Merges) -> list[tuple[bytes, bytes]]:
    tokens = vocabulary(merges)
    return [(tokens[left], tokens[right]) for left, right in merges]


@given(data=st.binary(max_size=300) | FEW_LETTERS.map(str.encode))
def test_merges_of_random_bytes(data: bytes) -> None:
    assert trained(data, 286).merges == as_bytes(train(data, 286))


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
@given(text=FEW_LETTERS | WORDS)
def test_merges_within_the_words_of_a_pattern(name: str, pattern: str, text: str) -> None:
    assert trained(text, 286, name).merges == as_bytes(train(text, 286, pattern))


@given(corpus=FEW_LETTERS | WORDS, text=FEW_LETTERS | WORDS)
def test_ids_without_a_pattern(corpus: str, text: str) -> None:
    assert trained(corpus, 286).encode_ordinary(text) == encode(text, train(corpus, 286))


@pytest.mark.parametrize(("name", "pattern"), PATTERNS)
@given(corpus=FEW_LETTERS | WORDS, text=FEW_LETTERS | WORDS)
def test_ids_within_the_words_of_a_pattern(name: str, pattern: str, corpus: str, text: str) -> None:
    merges = train(corpus, 286, pattern)
    assert trained(corpus, 286, name).encode_ordinary(text) == encode(text, merges, pattern)


@given(corpus=st.binary(max_size=300), data=st.data())
def test_text_of_any_ids(corpus: bytes, data: st.DataObject) -> None:
    """Also of ids whose bytes are not UTF-8, each fault of which is one U+FFFD."""
    merges = train(corpus, 286)
    ids = data.draw(st.lists(st.integers(0, 255 + len(merges)), max_size=50))
    assert trained(corpus, 286).decode(ids) == decode(ids, merges)


def test_merges_and_ids_of_the_pku_manual(shared_data: Callable[[str], Path]) -> None:
    path = shared_data("pku_manual/manual.txt")
    fast = Tokenizer.train(files=[path], vocab_size=1_024, pattern=None, special_tokens=())
    text = path.read_text(encoding="utf-8")
    merges = train(text, 1_024)
    assert fast.n_vocab == 1_024
    assert fast.merges == as_bytes(merges)
    assert fast.encode_ordinary(text[:3_000]) == encode(text[:3_000], merges)
