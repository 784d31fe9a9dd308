"""Long strings are read where they lie: the same ids as by way of bytes, and nothing stays behind in the string."""

import ctypes
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from bytemill import Tokenizer

LONG = 300_000  # characters
# As in rust/bytemill-py/src/interpreter.rs; others ask CPython.
IS_READ_IN_MEMORY = sys.version_info[:2] in ((3, 11), (3, 12), (3, 13)) and not sysconfig.get_config_var(
    "Py_GIL_DISABLED"
)
TEXTS = {
    "latin-1": "Voilà un café, señor. " * (LONG // 20),
    "two bytes": "low “lower” 最低 слово\n" * (LONG // 20),
    "four bytes": "low 🌍 lower 中文, \U0010ffff é\n" * (LONG // 20),
    "wide at the end": "a " * (LONG // 2) + "🌍",
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=["low lower lowest café señor 最低"], vocab_size=300)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_ids_are_those_of_the_bytes(tokenizer: Tokenizer, text: str) -> None:
    text = text + "."  # a string of its own, that nobody has asked for its UTF-8
    n_bytes = sys.getsizeof(text)
    expected = tokenizer.encode_bytes(text.encode())
    assert tokenizer.encode_ordinary(text) == expected
    np.testing.assert_array_equal(tokenizer.encode_to_numpy(text), expected)
    np.testing.assert_array_equal(tokenizer.encode_batch_to_numpy([text, "low", text])[0][: len(expected)], expected)
    assert tokenizer.count(text) == len(expected)
    assert tokenizer.decode(expected) == text
    if IS_READ_IN_MEMORY:
        assert sys.getsizeof(text) == n_bytes


def test_strings_that_are_kept_otherwise(tokenizer: Tokenizer) -> None:
    class Subclass(str):
        __slots__ = ()

    text = TEXTS["two bytes"]
    expected = tokenizer.encode_bytes(text.encode())
    assert tokenizer.encode_ordinary(Subclass(text)) == expected
    asked = text + " "
    ask = ctypes.pythonapi.PyUnicode_AsUTF8AndSize
    ask.argtypes, ask.restype = (ctypes.py_object, ctypes.c_void_p), ctypes.c_void_p
    assert ask(asked, None)
    assert tokenizer.encode_ordinary(asked) == tokenizer.encode_bytes(asked.encode())
    assert tokenizer.encode_ordinary("low " * LONG) == tokenizer.encode_bytes(b"low " * LONG)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_lone_surrogates_are_replaced(tokenizer: Tokenizer, text: str) -> None:
    expected = tokenizer.encode_ordinary(text + "\ufffd")
    assert tokenizer.encode_ordinary(text + "\ud800") == expected
    assert tokenizer.encode_ordinary(text + "\udfff") == expected


def test_threads_may_read_one_string(tokenizer: Tokenizer) -> None:
    text = TEXTS["four bytes"] + "!"
    expected = tokenizer.encode_bytes(text.encode())
    with ThreadPoolExecutor(4) as pool:
        assert all(ids == expected for ids in pool.map(tokenizer.encode_ordinary, [text] * 8))
