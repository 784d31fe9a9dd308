"""Texts of repeats on tables that are full: ids equal tiktoken's, and prepared shards are their text."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tiktoken

from bytemill import Tokenizer
from bytemill.data import prepare
from repeats import noise, repeated_texts, texts_around_144_letters

_NOISE_WORDS = 60_000  # more than the tables of GPT-2's vocabulary have room for


@dataclass(frozen=True)
class Pair:
    """A tokenizer whose tables are full, and tiktoken's with the same ranks."""

    ours: Tokenizer
    theirs: tiktoken.Encoding

    def assert_equal(self, text: str) -> None:
        """The same ids, by the call for one text and by the call for arrays."""
        expected = self.theirs.encode_ordinary(text)
        assert self.ours.encode_ordinary(text) == expected, repr(text[:300])
        assert self.ours.encode_to_numpy(text, disallowed_special=()).tolist() == expected, repr(text[:300])


@pytest.fixture(scope="module", params=["gpt2", "cl100k", "o200k"])
def pair(request: pytest.FixtureRequest) -> Pair:
    if request.param == "gpt2":
        ours: Tokenizer = request.getfixturevalue("gpt2")
        theirs: tiktoken.Encoding = request.getfixturevalue("tiktoken_gpt2")
    else:
        ours = Tokenizer.load(request.getfixturevalue("shared_data")(f"tiktoken_vocabs/{request.param}_base.tiktoken"))
        theirs = ours.to_tiktoken()
    full = Pair(ours, theirs)
    full.assert_equal(noise(_NOISE_WORDS))
    return full


@pytest.mark.parametrize("count", [3_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_repeats_after_their_heads(pair: Pair, count: int) -> None:
    for text in repeated_texts(count):
        pair.assert_equal(text)


def test_a_piece_of_144_letters_is_not_its_first_16(pair: Pair) -> None:
    for text in texts_around_144_letters():
        pair.assert_equal(text)


def test_dna_reads_after_their_first_16_letters(pair: Pair) -> None:
    generator = random.Random(3)
    for _ in range(200):
        read = "".join(generator.choices("ACGT", k=144))
        pair.assert_equal(f"{read[:16]}\n{read}\n")


def test_a_text_of_more_than_4_mib(pair: Pair) -> None:
    pair.assert_equal("\n".join([noise(300_000, seed=1), *repeated_texts(3_000, seed=1)]))


def test_a_vocabulary_smaller_than_the_number_of_a_place() -> None:
    """What a table keeps in place of ids is a number up to 8,191; taken for an id it is none of 258."""
    tokenizer = Tokenizer.train(texts=["ab" * 9], vocab_size=258, special_tokens=("<|endoftext|>",))
    for text in [noise(20_000), *texts_around_144_letters()]:
        assert tokenizer.decode(tokenizer.encode_ordinary(text)) == text


def test_prepared_shards_are_their_text(gpt2: Tokenizer, tmp_path: Path) -> None:
    """120 documents of noise and repeats: one root hash for any number of threads, and the text comes back."""
    around = list(texts_around_144_letters())
    texts = [f"{noise(700, seed=number)}\n{around[number]}{around[number + 1]}" for number in range(120)]
    source = tmp_path / "documents"
    source.mkdir()
    for number, text in enumerate(texts):
        (source / f"{number:03}.txt").write_text(text, encoding="utf-8")
    hashes = set()
    for run in range(10):
        folder = tmp_path / f"shards_{run}"
        manifest = prepare([source], folder, tokenizer=gpt2, val=0, threads=(1, 2, 4)[run % 3])
        hashes.add(manifest.root_sha256)
    assert len(hashes) == 1
    assert sorted(_documents(folder, gpt2)) == sorted(texts)


def _documents(folder: Path, tokenizer: Tokenizer) -> list[str]:
    """The texts of all documents in `folder`: shards are 1,024 bytes of header, then ids."""
    ids = np.concatenate([np.fromfile(shard, np.uint16, offset=1_024) for shard in sorted(folder.glob("*.bin"))])
    documents = np.split(ids, np.flatnonzero(ids == tokenizer.eot_token))
    return [tokenizer.decode(document[document != tokenizer.eot_token]) for document in documents if document.size > 1]


def test_the_words_of_noise_overflow_the_tables(shared_data: Callable[[str], Path], gpt2: Tokenizer) -> None:
    """The other tests need more words than there is room for: 2 ** 19 entries, and 8,192 places for many ids."""
    words = set(noise(_NOISE_WORDS).split())
    assert len([word for word in words if len(gpt2.encode_ordinary(word)) > 4]) > 8_192
