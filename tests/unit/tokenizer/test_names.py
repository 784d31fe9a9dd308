"""Names that tiktoken and tokenizers have too: equal to theirs, or to the plain call that they are short for."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st

from bytemill import Tokenizer
from bytemill.errors import ArgumentError

TRAINING = ["the cat sat on the mat;", " 北京大学，北京。", "don't 12345\n\n  x", ""]
TEXTS = [*TRAINING, "<|endoftext|>"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=TRAINING * 3, vocab_size=300, special_tokens=["<|endoftext|>", "<|填|>"])


@pytest.fixture(scope="module")
def encoding(tokenizer: Tokenizer) -> tiktoken.Encoding:
    return tokenizer.to_tiktoken()


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> tokenizers.Tokenizer:
    path = tmp_path_factory.mktemp("names") / "tokenizer.json"
    tokenizer.save(path)
    return tokenizers.Tokenizer.from_file(str(path))


def test_batches_as_tiktoken_calls_them(tokenizer: Tokenizer, encoding: tiktoken.Encoding) -> None:
    expected = encoding.encode_ordinary_batch(TEXTS, num_threads=2)
    assert tokenizer.encode_ordinary_batch(TEXTS, num_threads=2) == expected
    assert tokenizer.encode_ordinary_batch(TEXTS) == expected
    assert tokenizer.encode_ordinary_batch([]) == []
    allowed = tokenizer.encode_batch(TEXTS, num_threads=2, allowed_special="all")
    assert allowed == encoding.encode_batch(TEXTS, num_threads=2, allowed_special="all")
    assert tokenizer.encode_ordinary_batch(TEXTS, max_tokens=2) == [ids[:2] for ids in expected]


@pytest.mark.parametrize("method", ["encode_batch", "encode_ordinary_batch"])
def test_threads_have_one_name_at_a_time(tokenizer: Tokenizer, method: str) -> None:
    with pytest.raises(ArgumentError, match="threads and num_threads are both given"):
        getattr(tokenizer, method)(["x"], threads=1, num_threads=1)
    for wrong in (0, -1, "2", 1.5):
        with pytest.raises(ArgumentError, match=f"threads is {wrong!r}, expected a whole number of at least 1"):
            getattr(tokenizer, method)(["x"], num_threads=wrong)


def test_sizes_and_single_tokens_as_tiktoken_calls_them(tokenizer: Tokenizer, encoding: tiktoken.Encoding) -> None:
    assert tokenizer.max_token_value == encoding.max_token_value
    ids = encoding.encode(TEXTS[1] + TEXTS[4], allowed_special="all")
    for given_ids in (ids, np.array(ids), np.array(ids, dtype="uint32")):
        assert tokenizer.decode_tokens_bytes(given_ids) == encoding.decode_tokens_bytes(ids)
    assert tokenizer.decode_tokens_bytes([]) == []
    with pytest.raises(KeyError):
        tokenizer.decode_tokens_bytes([97, tokenizer.n_vocab])


def test_the_name_is_tiktokens_and_stays(tokenizer: Tokenizer, encoding: tiktoken.Encoding) -> None:
    assert tokenizer.name == encoding.name == f"bytemill-{tokenizer.fingerprint[:12]}"
    named = tiktoken.Encoding(
        "mine", pat_str=encoding._pat_str, mergeable_ranks=encoding._mergeable_ranks, special_tokens={}
    )
    taken = Tokenizer.from_tiktoken(named)
    assert taken.name == taken.to_tiktoken().name == "mine"
    assert pickle.loads(pickle.dumps(taken)).name == copy.copy(taken).name == copy.deepcopy(taken).name == "mine"


def test_tokens_are_spelled_as_tokenizers_spells_them(tokenizer: Tokenizer, theirs: tokenizers.Tokenizer) -> None:
    vocabulary = theirs.get_vocab()
    assert tokenizer.get_vocab() == vocabulary
    assert sorted(vocabulary.values()) == tokenizer.token_ids()
    for one in range(tokenizer.n_vocab + 2):
        assert tokenizer.id_to_token(one) == theirs.id_to_token(one)
    for token in [*vocabulary, " the", "Ġ北", "", "<|x|>", "\ud800".encode("utf-8", "replace").decode()]:
        assert tokenizer.token_to_id(token) == theirs.token_to_id(token)


@pytest.mark.parametrize("token", [-1, 2**32, 2**70])
def test_numbers_that_are_no_ids_have_no_token(tokenizer: Tokenizer, token: int) -> None:
    assert tokenizer.id_to_token(token) is None
    with pytest.raises(KeyError, match=f"token id {token} is not in this vocabulary"):
        tokenizer.decode_single_token_bytes(token)


@given(
    parts=st.lists(st.sampled_from(["cat", " 北京", "<|endoftext|>", "<|填|>", "\n", "é"]), max_size=8),
    skip=st.booleans(),
)
def test_special_tokens_are_skipped_as_tokenizers_does(
    tokenizer: Tokenizer, theirs: tokenizers.Tokenizer, parts: list[str], skip: bool
) -> None:
    ids = tokenizer.encode("".join(parts), allowed_special="all")
    expected = theirs.decode(ids, skip_special_tokens=skip)
    assert tokenizer.decode(ids, skip_special_tokens=skip) == expected
    assert tokenizer.decode(np.array(ids, dtype="uint32"), skip_special_tokens=skip) == expected
    assert tokenizer.decode_batch([ids, []], skip_special_tokens=skip) == [expected, ""]


@pytest.mark.parametrize("pattern", ["gpt2", "cl100k", "o200k", None, r"\w+|\W+"])
def test_counting_until_a_limit_is_counting(pattern: str | None) -> None:
    tokenizer = Tokenizer.train(texts=TRAINING * 3, vocab_size=300, pattern=pattern)
    for text in [*TEXTS, "".join(TEXTS) * 40]:
        count = tokenizer.count(text)
        for limit in range(max(0, count - 2), count + 3):
            assert tokenizer.count_until(text, limit) == (count if count <= limit else None)
        assert tokenizer.count_until(text, 2**70) == count
    with pytest.raises(ArgumentError, match="limit is -1, expected a whole number of at least 0"):
        tokenizer.count_until("x", -1)
