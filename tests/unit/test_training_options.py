"""What `Tokenizer.train` offers beside text and size: memory, compressed files, separators, whole characters."""

from __future__ import annotations

import gzip
import random
from typing import TYPE_CHECKING

import pytest

from bytemill import Tokenizer
from bytemill.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from pathlib import Path


def words(seed: int, n_words: int) -> str:
    random_words = random.Random(seed)
    return " ".join("".join(random_words.choices("abcdefgh", k=random_words.randint(2, 14))) for _ in range(n_words))


@pytest.mark.parametrize("ties", ["huggingface", "first_seen"])
def test_a_limit_of_memory_changes_no_merge(ties: str) -> None:
    text = words(1, 60_000)
    free, limited = (
        Tokenizer.train(texts=[text], vocab_size=2_000, ties=ties, max_memory=limit) for limit in (None, 12 << 20)
    )
    assert free.merges == limited.merges
    with pytest.raises(ArgumentError, match=r"max_memory is 1000, expected at least \d+ for \d+ distinct pretokens"):
        Tokenizer.train(texts=[text], vocab_size=2_000, ties=ties, max_memory=1000)


def test_compressed_text_is_read_and_half_of_it_refused(tmp_path: Path) -> None:
    text = words(2, 2_000)
    plain, packed = tmp_path / "plain.txt", tmp_path / "packed.txt.gz"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))
    assert Tokenizer.train(plain, vocab_size=400).merges == Tokenizer.train(packed, vocab_size=400).merges
    packed.write_bytes(packed.read_bytes()[:1_000])
    with pytest.raises(FormatError, match=r"packed\.txt\.gz: ends at byte 1000 in the middle of"):
        Tokenizer.train(packed, vocab_size=400)


def test_a_separator_belongs_to_no_document(tmp_path: Path) -> None:
    path = tmp_path / "two.txt"
    path.write_text("ab<|end|>ab<|end|>cd")
    apart = Tokenizer.train(path, vocab_size=300, pattern=None, separator="<|end|>", special_tokens=())
    assert apart.merges == [(b"a", b"b"), (b"c", b"d")]


def test_words_that_are_counted_already() -> None:
    counts = {" the": 5, "tea": 3, " ": 9}
    from_counts = Tokenizer.train(word_counts=counts, vocab_size=300)
    from_text = Tokenizer.train(texts=[word for word, count in counts.items() for _ in range(count)], vocab_size=300)
    assert from_counts.merges == from_text.merges != []
    with pytest.raises(TypeError, match="one of files, texts, word_counts and counts"):
        Tokenizer.train(texts=["a"], word_counts=counts, vocab_size=300)


def test_no_token_cuts_a_character_where_none_may() -> None:
    text = "中文中国中间, naïve 😀😁 " * 30
    free, safe = (
        Tokenizer.train(texts=[text], vocab_size=320, pattern=None, special_tokens=(), utf8_safe=utf8_safe)
        for utf8_safe in (False, True)
    )

    def cuts(token: bytes) -> bool:
        return "�" in token.decode(errors="replace") and len(token) > 3

    assert any(cuts(left + right) for left, right in free.merges)
    assert not any(cuts(left + right) for left, right in safe.merges)
