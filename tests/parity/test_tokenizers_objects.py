"""Vocabularies to and from `tokenizers`, by file and as objects: equal ids, whichever version is installed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

import bytemill
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

tokenizers = pytest.importorskip("tokenizers", reason="extra `hf` is not installed")

CHARACTERS = "abcdeST  \n\t\r'’.,!01٣北京é\u0301\u200d😀ſ"
WORDS = ["the", " the", "it's", "\n\n", "<|endoftext|>", "<s>", " 2024", "日本", "\0"]
OUR_PATTERNS = ["gpt2", "cl100k", "o200k", None, r"\w+|\W+"]


def texts(count: int) -> list[str]:
    generator = random.Random(0)
    return ["".join(generator.choices([*CHARACTERS, *WORDS], k=generator.randint(0, 60))) for _ in range(count)]


def opened(path: Path) -> Any:
    """Their tokenizer of a file, ready to encode: candidates of 1.0 want to be compiled."""
    found = tokenizers.Tokenizer.from_file(str(path))
    return found.compile() if hasattr(found, "compile") else found


def assert_equal_ids(ours: bytemill.Tokenizer, theirs: Any, count: int = 1_000) -> None:
    for text in texts(count):
        expected = theirs.encode(text, add_special_tokens=False).ids
        assert ours.encode(text, allowed_special="all") == expected, repr(text)
        assert ours.decode(expected) == theirs.decode(expected, skip_special_tokens=False)


def small(pattern: str | None) -> bytemill.Tokenizer:
    return bytemill.Tokenizer.train(
        texts=["the cat sat on the mat. it's 2024\n\n 日本 " * 50],
        vocab_size=290,
        pattern=pattern,
        special_tokens=["<|endoftext|>", "<s>"],
    )


@pytest.mark.parametrize("pattern", OUR_PATTERNS, ids=str)
def test_our_file_gives_them_our_ids_and_their_object_gives_us_theirs(pattern: str | None, tmp_path: Path) -> None:
    ours = small(pattern)
    ours.save(tmp_path / "tokenizer.json")
    theirs = opened(tmp_path / "tokenizer.json")
    assert bytemill.Tokenizer.from_huggingface(theirs).fingerprint == ours.fingerprint
    try:
        theirs.encode("a")
    except ValueError as error:
        if "regex backend" not in str(error):
            raise
        pytest.skip("this tokenizers was built without expressions: it loads this pattern, but cannot split by it")
    assert_equal_ids(ours, theirs)


def test_gpt2s_object_gives_its_ids(gpt2: bytemill.Tokenizer, tmp_path: Path) -> None:
    gpt2.save(tmp_path / "tokenizer.json")
    theirs = opened(tmp_path / "tokenizer.json")
    taken = bytemill.Tokenizer.from_huggingface(theirs)
    assert taken.fingerprint == gpt2.fingerprint
    assert_equal_ids(taken, theirs)


@pytest.mark.parametrize("name", ["gpt2_vocab/gpt2_tokenizer.json"])
def test_a_real_files_object_gives_its_ids(shared_data: Callable[[str], Path], name: str) -> None:
    theirs = opened(shared_data(name))
    assert_equal_ids(bytemill.Tokenizer.from_huggingface(theirs), theirs)
    assert_equal_ids(bytemill.Tokenizer.load(shared_data(name)), theirs)


class Pickled:
    """As in tokenizers 1.0: no `to_str`, no `save`; a pickle that begins with the file's text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[Any, tuple[str, None, None]]:
        return Pickled, (self.text, None, None)


Pickled.__name__, Pickled.__module__ = "Tokenizer", "tokenizers"


def test_an_object_without_to_str_is_read_by_what_it_pickles(tmp_path: Path) -> None:
    ours = small("cl100k")
    ours.save(tmp_path / "tokenizer.json")
    contents = json.loads((tmp_path / "tokenizer.json").read_text())
    contents["version"], contents["model"]["byte_level"] = "2.0", True
    contents["pre_tokenizer"]["pretokenizers"].pop()  # the step ByteLevel
    taken = bytemill.Tokenizer.from_huggingface(Pickled(json.dumps(contents)))
    assert taken.fingerprint == ours.fingerprint


@pytest.mark.parametrize("other", [7, object(), ["a"], json], ids=lambda one: type(one).__name__)
def test_any_other_object_is_refused(other: object) -> None:
    with pytest.raises(ArgumentError, match=f"found an object of type {type(other).__name__}"):
        bytemill.Tokenizer.from_huggingface(other)
