"""Ids, errors and offsets equal tiktoken's on GPT-2's vocabulary."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiktoken
import torch

from bytemill import Tokenizer

_ALPHABETS = [
    "abcdefghijklmnopqrstuvwxyz    ",
    "aA1 '\n\t.,sStTdDmMlLvVrReE’",
    " \t\n\r\x0b\x0c\x1c\x85\xa0\u2003\u2028\u3000\u200b\ufeff",
    "0123456789٠١٢٣०१२³¼Ⅷ一二",
    "北京大学模型的是不了人我在有他这",
    "e\u0301a\u0308\u200d👩🏽‍🚀🇩🇪ﷺ\u0e01\u0e33",
    "\x00\x01\x7f\x80\u0600\ud7ff\ue000\uffff\U00010000\U0010ffff",
]


def _random_texts(count: int, seed: int = 0) -> Iterator[str]:
    generator = random.Random(seed)
    for _ in range(count):
        if generator.random() < 0.1:
            planes = [(0, 0xD800), (0xE000, 0x10000), (0x10000, 0x110000)]
            text = "".join(chr(generator.randrange(*generator.choice(planes))) for _ in range(20))
        else:
            alphabets = generator.sample(_ALPHABETS, generator.randint(1, 3))
            text = "".join(generator.choices("".join(alphabets), k=generator.randint(0, 60)))
        yield text


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_random_strings(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding, count: int) -> None:
    for text in _random_texts(count):
        assert gpt2.encode_ordinary(text) == tiktoken_gpt2.encode_ordinary(text), repr(text)


def test_a_processor_that_takes_the_smallest_numbers_for_zero(
    gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding
) -> None:
    """Ranks are compared as floating-point numbers; torch, and libraries built for speed, may have them flushed."""
    generator = random.Random(1)
    words = [" " + "".join(generator.choices("etaoinshrdlu", k=12)) for _ in range(2_000)]
    torch.set_flush_denormal(True)
    try:
        flushed = [gpt2.encode_ordinary(word) for word in words]
    finally:
        torch.set_flush_denormal(False)
    assert flushed == [tiktoken_gpt2.encode_ordinary(word) for word in words]


def test_this_repository(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding) -> None:
    for path in Path(__file__).parents[2].glob("python/**/*.py"):
        text = path.read_text(encoding="utf-8")
        assert gpt2.encode_ordinary(text) == tiktoken_gpt2.encode_ordinary(text)
        assert gpt2.encode_file(path, disallowed_special=()).tolist() == tiktoken_gpt2.encode_ordinary(text)


def test_llamacpp_vectors(gpt2: Tokenizer, shared_data: Callable[[str], Path]) -> None:
    folder = shared_data("llamacpp_vectors")
    texts = (folder / "ggml-vocab-gpt-2.gguf.inp").read_bytes().decode().split("\n__ggml_vocab_test__\n")[:-1]
    expected = (folder / "ggml-vocab-gpt-2.gguf.out").read_text().splitlines()
    assert len(texts) == 46
    for text, line in zip(texts, expected, strict=True):
        assert gpt2.encode_ordinary(text) == [int(word) for word in line.split()], repr(text)


SPECIAL_TEXTS = [
    "<|endoftext|>",
    "a<|endoftext|>b",
    "<|endoftext|><|endoftext|>",
    "<|endoftext",
    "x <|endoftext|> y",
]


@pytest.mark.parametrize("text", SPECIAL_TEXTS)
def test_special_tokens_as_tiktoken(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding, text: str) -> None:
    everything = (
        {"allowed_special": "all"},
        {"disallowed_special": ()},
        {"allowed_special": {"<|endoftext|>"}},
    )
    for options in everything:
        assert gpt2.encode(text, **options) == tiktoken_gpt2.encode(text, **options)
    assert gpt2.encode_ordinary(text) == tiktoken_gpt2.encode_ordinary(text)


@pytest.mark.parametrize("text", SPECIAL_TEXTS[:3])
def test_disallowed_special_raises_as_tiktoken(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding, text: str) -> None:
    for tokenizer in (gpt2, tiktoken_gpt2):
        with pytest.raises(ValueError, match=r"<\|endoftext\|>"):
            tokenizer.encode(text)


@pytest.mark.parametrize("text", ["\ud800", "a\udc00b", "\ud83d\ude00", "\ude00\ud83d x"])
def test_lone_surrogates_as_tiktoken(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding, text: str) -> None:
    assert gpt2.encode(text) == tiktoken_gpt2.encode(text)
    assert gpt2.encode_ordinary(text) == tiktoken_gpt2.encode_ordinary(text)


def test_offsets_as_tiktoken(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding) -> None:
    for text in _random_texts(500, seed=1):
        ids, offsets = gpt2.encode_with_offsets(text)
        assert ids == tiktoken_gpt2.encode_ordinary(text)
        assert offsets == tiktoken_gpt2.decode_with_offsets(ids)[1]


def test_numbers_a_tokenizer_tells_of_itself(gpt2: Tokenizer, tiktoken_gpt2: tiktoken.Encoding) -> None:
    assert gpt2.n_vocab == len(gpt2) == tiktoken_gpt2.n_vocab == 50_257
    assert gpt2.eot_token == tiktoken_gpt2.eot_token == 50_256
    assert gpt2.special_tokens_set == tiktoken_gpt2.special_tokens_set
    assert gpt2.encode_single_token("China") == 14_581
    assert gpt2.encode_ordinary("论文") == [164, 106, 118, 23877, 229]
    assert gpt2.encode_ordinary("博士") == [39355, 248, 18803]
