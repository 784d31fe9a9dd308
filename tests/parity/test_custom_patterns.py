"""Patterns of one's own: the ids of `tokenizers` both ways, tiktoken's names, and time linear in the text."""

import json
from pathlib import Path
from typing import Any

import pytest

from bytemill import Tokenizer
from bytemill.errors import ArgumentError, DataError, FormatError

_ALL = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


@pytest.mark.parametrize(
    "pattern", [r"\w+|\W", r"\w+|\s+|[^\w\s]+", r"\b|\d", r"[^\W\d]+|.", r"\pL+|.", r"\p{Script=Han}+|."]
)
def test_a_saved_pattern_gives_the_same_ids_there(pattern: str, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    texts = ["a\u200db a\u200cb " * 9, "x² m² ¹³¼½¾ " * 9, "北京, don't! 12³ " * 9]
    ours = Tokenizer.train(texts=texts, vocab_size=290, pattern=pattern, special_tokens=())
    ours.save(tmp_path / "t.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "t.json"))
    again = Tokenizer.load(tmp_path / "t.json")
    for text in [*texts, *("".join(f"a{one}" for one in _ALL[first : first + 999]) for first in range(0, 0x4000, 999))]:
        wanted = theirs.encode(text).ids
        assert ours.encode_ordinary(text) == wanted
        assert again.encode_ordinary(text) == wanted


def test_joiners_are_word_characters_in_both_after_saving(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    ours = Tokenizer.train(texts=["a\u200db " * 9], vocab_size=262, pattern=r"\w+|\W", special_tokens=())
    ours.save(tmp_path / "t.json")
    assert ours.encode("a\u200db") == [259]
    assert tokenizers.Tokenizer.from_file(str(tmp_path / "t.json")).encode("a\u200db").ids == [259]
    assert Tokenizer.load(tmp_path / "t.json").fingerprint == ours.fingerprint


def test_a_pattern_trained_there_gives_the_same_ids_here(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    for pattern in (r"\w+|\s+|[^\w\s]+", r"\b", r"\W|\p{L}+", r"\A.|\R|\h+"):
        theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
        theirs.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
            [
                tokenizers.pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
                tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        theirs.decoder = tokenizers.decoders.ByteLevel()
        alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
        trainer = tokenizers.trainers.BpeTrainer(vocab_size=290, initial_alphabet=alphabet, show_progress=False)
        theirs.train_from_iterator(["x² m² " * 30], trainer)
        theirs.save(str(tmp_path / "t.json"))
        ours = Tokenizer.load(tmp_path / "t.json")
        for first in range(0, 0x4000, 999):
            text = "m²" + "".join(f"a{one}\r\n" for one in _ALL[first : first + 999])
            assert ours.encode_ordinary(text) == theirs.encode(text).ids, pattern


@pytest.mark.parametrize("name", ["cl100k_base", "gpt4", "GPT2", "r50k_base", "p50k_base", "p50k_edit", "o200k_base"])
def test_tiktokens_names_are_patterns(name: str) -> None:
    tokenizer = Tokenizer.train(texts=["don't stop"], vocab_size=258, pattern=name)
    assert tokenizer.pretokens("don't stop")[-1] == b" stop"


@pytest.mark.parametrize("word", ["nonsense", "cl100k_bas", "gpt-9"])
def test_a_word_that_is_no_name_is_refused_with_the_names(word: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="cl100k_base"):
        Tokenizer.train(texts=["a"], vocab_size=258, pattern=word)
    Tokenizer.train(texts=["a"], vocab_size=258).save(tmp_path / "t.json")
    with pytest.raises(ArgumentError, match="o200k_base"):
        Tokenizer.load(tmp_path / "t.json", pattern=word)


@pytest.mark.parametrize(
    "pattern", [r"foo(?!bar)", r"\R", r"(?<=\n)#+ ", r"\s+(?!\S)|\s+", r"a++b|(a+)+c", r"(?>a+)+b"]
)
def test_two_megabytes_without_a_match_are_one_pretoken(pattern: str) -> None:
    tokenizer = Tokenizer.train(texts=["ab"], vocab_size=257, pattern=pattern)
    text = "a" * (2 << 20)
    assert tokenizer.pretokens(text) == [text.encode()]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [(r"(?=(a+))\1b", "backreference"), (r"(?:a*)*b", "may be empty"), (r"(?<=a+)b", "look-behind")],
)
def test_what_cannot_be_linear_is_refused_when_read(pattern: str, name: str, tmp_path: Path) -> None:
    Tokenizer.train(texts=["a"], vocab_size=258, pattern=r"a+|\n").save(tmp_path / "t.json")
    file: dict[str, Any] = json.loads((tmp_path / "t.json").read_text())
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = pattern
    (tmp_path / "t.json").write_text(json.dumps(file))
    with pytest.raises((FormatError, ArgumentError), match=name):
        Tokenizer.load(tmp_path / "t.json")


def test_a_vocabulary_without_bytes_that_no_text_has(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    Tokenizer.train(texts=["the thé 北京 " * 9], vocab_size=280, special_tokens=()).save(tmp_path / "t.json")
    file = json.loads((tmp_path / "t.json").read_text())
    for byte in (0xC0, 0xC1, *range(0xF5, 0x100)):
        del file["model"]["vocab"][chr(byte)]
    (tmp_path / "t.json").write_text(json.dumps(file))
    ours, theirs = Tokenizer.load(tmp_path / "t.json"), tokenizers.Tokenizer.from_file(str(tmp_path / "t.json"))
    for text in ("the thé 北京", "😀 ÿ", "\x00\x7f"):
        assert ours.encode_ordinary(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode_ordinary(text)) == text
    for wrong in (b"\xff", b"the\xc0"):
        with pytest.raises(DataError, match="has no token"):
            ours.encode_bytes(wrong)
    ours.save(tmp_path / "again.json")
    assert Tokenizer.load(tmp_path / "again.json").fingerprint == ours.fingerprint


def test_steps_are_refused_where_only_one_pattern_can_be_said(tmp_path: Path) -> None:
    pytest.importorskip("tiktoken")
    digits, byte_level = {"type": "Digits", "individual_digits": True}, {"type": "ByteLevel", "add_prefix_space": False}
    steps = json.dumps({"type": "Sequence", "pretokenizers": [digits, byte_level]})
    tokenizer = Tokenizer.train(texts=["a1"], vocab_size=258, pattern=steps)
    assert tokenizer.pretokens("ab12") == [b"ab", b"1", b"2"]
    with pytest.raises(ArgumentError, match="several steps"):
        tokenizer.to_tiktoken()
    with pytest.raises(ArgumentError, match="GPT-2's pattern"):
        tokenizer.save(tmp_path / "folder", format="gpt2")
