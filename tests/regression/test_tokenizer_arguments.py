"""What once went wrong with arguments of the tokenizer's methods; each test is named after what broke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bytemill import Tokenizer
from bytemill.errors import ArgumentError, FormatError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=["low low"], vocab_size=259)


@pytest.mark.parametrize("path", [None, 5, b"t.json", "", ["t.json"]])
def test_what_is_no_path_was_a_file_of_that_name(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("low")
    calls = {
        "path": [lambda: tokenizer.save(path), lambda: Tokenizer.load(path)],
        "output": [lambda: tokenizer.encode_to_file("text.txt", path)],
    }
    for name, those in calls.items():
        for call in those:
            with pytest.raises(ArgumentError, match=f"{name} is .*, expected a path, as str or Path"):
                call()
    for name in ("counts", "save_counts"):
        if path is not None:
            with pytest.raises(ArgumentError, match=f"{name} is .*, expected a path, as str or Path"):
                Tokenizer.train(texts=["low"], vocab_size=300, **{name: path})
    assert [path.name for path in tmp_path.iterdir()] == ["text.txt"]


@pytest.mark.parametrize("special_tokens", ["<|x|>", "", None, 5, [5], ["<a>", None], ["<a>", "<a>"], [""], b"<a>"])
def test_special_tokens_that_are_none_were_taken_letter_by_letter_or_shown_internals(
    tokenizer: Tokenizer, tmp_path: Path, special_tokens: Any
) -> None:
    with pytest.raises(ArgumentError, match="special_tokens is"):
        Tokenizer.train(texts=["low"], vocab_size=300, special_tokens=special_tokens)
    if special_tokens is not None:
        tokenizer.save(tmp_path / "t.tiktoken", format="tiktoken")
        with pytest.raises(ArgumentError, match="special_tokens is"):
            Tokenizer.load(tmp_path / "t.tiktoken", pattern="gpt2", special_tokens=special_tokens)


@pytest.mark.parametrize("one", [-1, 2**32, 2**70, "7", None, 1.5])
def test_ids_of_special_tokens_that_are_none_are_named(tokenizer: Tokenizer, tmp_path: Path, one: Any) -> None:
    tokenizer.save(tmp_path / "t.tiktoken", format="tiktoken")
    with pytest.raises(ArgumentError, match="the id of '<a>' in special_tokens is"):
        Tokenizer.load(tmp_path / "t.tiktoken", pattern="gpt2", special_tokens={"<a>": one})


def test_a_generator_of_special_tokens_was_used_up_by_its_check() -> None:
    trained = Tokenizer.train(texts=["low"], vocab_size=300, special_tokens=(text for text in ("<a>", "<b>")))
    assert set(trained.special_tokens) == {"<a>", "<b>"}


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("vocab_size", "300", "a whole number of at least 0"),
        ("vocab_size", None, "a whole number of at least 0"),
        ("vocab_size", 300.0, "a whole number of at least 0"),
        ("vocab_size", -1, "a whole number of at least 0"),
        ("min_frequency", None, "a whole number of at least 0"),
        ("max_token_bytes", "4", "a whole number of at least 0"),
        ("max_memory", "1G", "a whole number of at least 0"),
        ("threads", "2", "a whole number of at least 0"),
        ("threads", 0, "a whole number of at least 1"),
        ("utf8_safe", "yes", "True or False"),
        ("pattern", 5, "a str"),
        ("ties", 5, "a str"),
        ("feed", None, "a str"),
        ("text_field", None, "a str"),
        ("separator", b"x", "a str"),
    ],
)
def test_values_of_another_type_were_answered_with_internals(option: str, value: Any, expected: str) -> None:
    with pytest.raises(ArgumentError, match=f"{option} is .*, expected {expected}"):
        Tokenizer.train(**({"texts": ["low"], "vocab_size": 300} | {option: value}))


@pytest.mark.parametrize("name", ["files", "texts"])
def test_nothing_to_learn_from_made_a_vocabulary_without_merges(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"{name} is empty, expected at least one"):
        Tokenizer.train(**{name: []}, vocab_size=300)
    with pytest.raises(ArgumentError, match=f"{name} is 5, expected"):
        Tokenizer.train(**{name: 5}, vocab_size=300)


@pytest.mark.parametrize(
    "counts", [{"low": -1}, {"low": "3"}, {"low": 1.5}, {5: 3}, ["low"], "low"], ids=lambda counts: str(counts)
)
def test_counts_of_words_that_are_none_are_named(counts: Any) -> None:
    with pytest.raises(ArgumentError, match="word_counts"):
        Tokenizer.train(word_counts=counts, vocab_size=300)


def test_a_base_that_is_none_is_named() -> None:
    with pytest.raises(ArgumentError, match="base is a str, expected a Tokenizer"):
        Tokenizer.train(texts=["low"], vocab_size=300, base="gpt2")  # type: ignore[arg-type]


def test_unknown_ids_overflowed(tokenizer: Tokenizer) -> None:
    for one in (-1, 259, 2**32, 2**70):
        with pytest.raises(KeyError, match=f"token id {one} is not in this vocabulary of 259 ids"):
            tokenizer.decode_single_token_bytes(one)
    with pytest.raises(TypeError):
        tokenizer.decode_single_token_bytes("7")  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5])
def test_numbers_of_threads_that_are_none_overflowed(tokenizer: Tokenizer, tmp_path: Path, threads: Any) -> None:
    (tmp_path / "text.txt").write_text("low")
    for call in (
        lambda: tokenizer.encode_batch(["low"], threads=threads),
        lambda: tokenizer.encode_batch_to_numpy(["low"], threads=threads),
        lambda: tokenizer.encode_file(tmp_path / "text.txt", threads=threads),
        lambda: tokenizer.encode_to_file(tmp_path / "text.txt", tmp_path / "ids.bin", threads=threads),
    ):
        with pytest.raises(ArgumentError, match=f"threads is {threads!r}, expected a whole number of at least 1"):
            call()


@pytest.mark.parametrize("most", [-1, "2", 1.5])
def test_limits_that_are_none_overflowed(tokenizer: Tokenizer, most: Any) -> None:
    with pytest.raises(ArgumentError, match=f"max_tokens is {most!r}, expected a whole number of at least 0"):
        tokenizer.encode("low", max_tokens=most)
    assert tokenizer.encode("low", max_tokens=2**70) == tokenizer.encode("low")


def test_a_byte_order_mark_made_a_tokenizer_json_a_tiktoken_file(tokenizer: Tokenizer, tmp_path: Path) -> None:
    for form in ("huggingface", "readable", "tiktoken", "gpt2"):
        saved = tmp_path / form
        tokenizer.save(saved, format=form)  # type: ignore[arg-type]
        for file in saved.iterdir() if saved.is_dir() else [saved]:
            file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
        read = Tokenizer.load(
            saved, pattern="gpt2", special_tokens=["<|endoftext|>"] if form in ("tiktoken", "gpt2") else None
        )
        assert read.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty, expected a vocabulary"),
        (b" \n", "is empty, expected a vocabulary"),
        (b"\xef\xbb\xbf", "is empty, expected a vocabulary"),
        (b"null", "invalid type: null"),
        (b"\xef\xbb\xbfnull", "invalid type: null"),
        (b"[1, 2]", "invalid type: sequence"),
        (b'"text"', "invalid type: string"),
        (b"7", "invalid type: integer"),
        (b'{"model": ', "EOF while parsing"),
        (b"[1, ", "invalid type: sequence|EOF while parsing"),
        ("{}".encode("utf-16"), "is UTF-16, expected a vocabulary in UTF-8"),
    ],
)
@pytest.mark.parametrize("name", ["tokenizer.json", "vocabulary"])
def test_broken_json_was_explained_as_a_tiktoken_file(tmp_path: Path, content: bytes, said: str, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(FormatError, match=said) as raised:
        Tokenizer.load(tmp_path / name)
    assert "tiktoken" not in str(raised.value)


def test_text_in_a_file_called_json_was_explained_as_a_tiktoken_file(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("not JSON at all")
    with pytest.raises(FormatError, match="expected") as raised:
        Tokenizer.load(tmp_path / "tokenizer.json")
    assert "tiktoken" not in str(raised.value)
