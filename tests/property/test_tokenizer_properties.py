"""What must hold of a tokenizer for every text."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytemill import Tokenizer

TEXT = st.text(max_size=200)  # st.text never draws lone surrogates
PATTERNS = ["gpt2", "cl100k", "o200k", None, r"\w+|\W+"]

_SAMPLE = "the cat sat on the mat, the dog's bark; 北京大学 北京 the the  \n\n  12345 12345 café café"


@pytest.fixture(scope="module", params=PATTERNS, ids=str)
def trained(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(texts=[_SAMPLE] * 3, vocab_size=320, pattern=request.param)


@given(text=TEXT)
def test_decode_undoes_encode(trained: Tokenizer, text: str) -> None:
    assert trained.decode(trained.encode_ordinary(text)) == text


@given(data=st.binary(max_size=200))
def test_decode_bytes_undoes_encode_bytes(trained: Tokenizer, data: bytes) -> None:
    assert trained.decode_bytes(trained.encode_bytes(data)) == data


@given(text=TEXT)
def test_gpt2_round_trip(gpt2: Tokenizer, text: str) -> None:
    assert gpt2.decode(gpt2.encode_ordinary(text)) == text


@given(data=st.binary(max_size=200))
def test_gpt2_bytes_round_trip(gpt2: Tokenizer, data: bytes) -> None:
    assert gpt2.decode_bytes(gpt2.encode_bytes(data)) == data


@settings(max_examples=50)
@given(texts=st.lists(TEXT, max_size=8), threads=st.sampled_from([1, 2, 16]))
def test_batch_equals_single(gpt2: Tokenizer, texts: list[str], threads: int) -> None:
    single = [gpt2.encode_ordinary(text) for text in texts]
    assert gpt2.encode_batch(texts, threads=threads, disallowed_special=()) == single
    ids, offsets = gpt2.encode_batch_to_numpy(texts, threads=threads, disallowed_special=())
    assert ids.dtype == np.uint32
    assert offsets.dtype == np.int64
    assert [ids[a:b].tolist() for a, b in pairwise(offsets)] == single
    assert gpt2.decode_batch(single) == texts


@given(text=TEXT)
def test_every_way_to_encode_agrees(gpt2: Tokenizer, text: str) -> None:
    ids = gpt2.encode_ordinary(text)
    assert gpt2.encode(text, disallowed_special=()) == ids
    assert gpt2.encode_bytes(text.encode()) == ids
    assert gpt2.encode_to_numpy(text, disallowed_special=()).tolist() == ids
    assert gpt2.count(text) == len(ids)
    assert b"".join(map(gpt2.decode_single_token_bytes, ids)) == text.encode()


@settings(max_examples=20)
@given(text=TEXT)
def test_copies_encode_alike(trained: Tokenizer, text: str) -> None:
    for twin in (pickle.loads(pickle.dumps(trained)), copy.deepcopy(trained)):
        assert twin.encode_ordinary(text) == trained.encode_ordinary(text)
        assert twin.special_tokens == trained.special_tokens
