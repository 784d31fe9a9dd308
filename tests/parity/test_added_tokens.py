"""Added tokens, normalization and post-processors: ids equal to Hugging Face's `tokenizers`, family by family."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bytemill import Tokenizer

if TYPE_CHECKING:
    import tokenizers

_TEXTS = ["The café in naïve Zürich costs 12 € per day.\n    def f(x):\n\t\treturn x\n", "한국어 텍스트 각 각각 語 漢字 가나다"] * 3
_VOCAB_SIZE = 400


def _base(pattern: str, **model: Any) -> dict[str, Any]:
    """A tokenizer.json without added tokens, trained on a few sentences."""
    trained = Tokenizer.train(texts=_TEXTS, vocab_size=_VOCAB_SIZE, pattern=pattern, special_tokens=())
    file: dict[str, Any] = json.loads(_saved(trained))
    file["model"].update(model)
    return file


def _saved(tokenizer: Tokenizer) -> str:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        tokenizer.save(path)
        return path.read_text(encoding="utf-8")


def _add(file: dict[str, Any], *contents: str, **flags: bool) -> None:
    """Append added tokens: with the ids that model.vocab has for them, or with the next ones."""
    vocab, added = file["model"]["vocab"], file["added_tokens"]
    for content in contents:
        every = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        next_id = len(vocab) + sum(token["content"] not in vocab for token in added)
        added.append({"id": vocab.get(content, next_id), "content": content, **every, **flags})


def _qwen() -> dict[str, Any]:
    file = _base("cl100k")
    file["normalizer"] = {"type": "NFC"}
    _add(file, "<|endoftext|>", "<|im_start|>", "<|im_end|>")
    _add(file, "<think>", "</think>", "<tool_call>", special=False)
    return file


def _gpt_neox() -> dict[str, Any]:
    file = _base("gpt2")
    file["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}
    _add(file, "<|endoftext|>", "<|padding|>")
    _add(file, *(" " * n for n in range(24, 1, -1)), normalized=True, special=False)
    _add(file, "caf\u00e9|", "e\u0301|", "\u1100\u1161", normalized=True, special=False)
    return file


def _codegen() -> dict[str, Any]:
    file = _base("gpt2")
    _add(file, "<|endoftext|>", normalized=True)
    _add(file, *(" " * n for n in range(31, 1, -1)), normalized=True, special=False)
    _add(file, *("\t" * n for n in range(9, 1, -1)), normalized=True, special=False)
    return file


def _phi4() -> dict[str, Any]:
    file = _base("cl100k", ignore_merges=True)
    _add(file, "<|endoftext|>", "<|im_start|>", "<|im_sep|>", "<|im_end|>", lstrip=True, rstrip=True)
    _add(file, "<|fim|>", rstrip=True)
    _add(file, " \n", "\t ", special=False)
    return file


def _words() -> dict[str, Any]:
    file = _base("gpt2")
    _add(file, "<mask>", single_word=True, lstrip=True)
    _add(file, "the", "a", single_word=True, special=False)
    _add(file, "def", single_word=True, rstrip=True, normalized=True, special=False)
    _add(file, "The ca", normalized=True, special=False)
    return file


def _llama3() -> dict[str, Any]:
    file = _base("cl100k", ignore_merges=True)
    _add(file, "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
    bos = len(file["model"]["vocab"])
    single = [{"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    named = {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [bos], "tokens": ["<|begin_of_text|>"]}}
    template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": named}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    file["post_processor"] = {"type": "Sequence", "processors": [byte_level, template]}
    return file


def _merged() -> dict[str, Any]:
    """Added tokens that merges make too."""
    file = _base("gpt2")
    _add(file, "er", "a", "Th", "in", "<|endoftext|>")
    assert {"er", "Th", "in"} <= set(file["model"]["vocab"])
    return file


_FAMILIES = {
    "qwen": _qwen,
    "gpt_neox": _gpt_neox,
    "codegen": _codegen,
    "phi4": _phi4,
    "single_word": _words,
    "llama3": _llama3,
    "merged": _merged,
}
_PIECES = (
    *"abcde éèïüñ中文語각한\n\t .,'/|1٣",
    *("e\u0301", "e\u0323\u0301", "e\u0301\u0323", "a\u0308", "\u1112\u1161\u11ab", "\u1100\u1161", "\u11a8", "\u212b", "\u0301"),
    *("\u0344", "\u0958", "\u09c7\u09be", "\U0001d15e", "\u1e9b\u0323", "\u0897\u0301", "\u08d3", "\u3000", "\u200d", "😀"),
    *("  ", "    ", "\n\n", "\t\t", " \n", "The café ", "def ", "return", "cafe\u0301|", "the", "react", "water", "Theta", "thin"),
)


def _texts(file: dict[str, Any], count: int) -> list[str]:
    """Random texts that hold the added tokens, white space around them, and characters that NFC changes."""
    generator = random.Random(len(file["added_tokens"]))
    added = [token["content"] for token in file["added_tokens"]]
    pieces = [*_PIECES, *added, *(f" {one} " for one in added), *(one[:-1] for one in added)]
    return ["".join(generator.choices(pieces, k=generator.randint(0, 24))) for _ in range(count)]


def _both(file: dict[str, Any], folder: Path) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    theirs = pytest.importorskip("tokenizers").Tokenizer.from_file(str(path))
    return Tokenizer.load(path), theirs


def _agree(family: Callable[[], dict[str, Any]], folder: Path, count: int) -> None:
    file = family()
    ours, theirs = _both(file, folder)
    ours.save(folder / "again.json")
    again = Tokenizer.load(folder / "again.json")
    theirs_again = type(theirs).from_file(str(folder / "again.json"))
    assert again.fingerprint == ours.fingerprint
    texts = _texts(file, count)
    expected = [one.ids for one in theirs.encode_batch(texts, add_special_tokens=False)]
    assert [one.ids for one in theirs_again.encode_batch(texts, add_special_tokens=False)] == expected
    for text, ids in zip(texts, expected, strict=True):
        assert ours.encode(text, allowed_special="all") == ids, repr(text)
    assert again.encode_batch(texts, allowed_special="all") == expected


@pytest.mark.parametrize("family", _FAMILIES)
def test_ids_equal_those_of_tokenizers(family: str, tmp_path: Path) -> None:
    _agree(_FAMILIES[family], tmp_path, 1_000)


@pytest.mark.long
@pytest.mark.parametrize("family", _FAMILIES)
def test_ids_equal_those_of_tokenizers_on_many_texts(family: str, tmp_path: Path) -> None:
    _agree(_FAMILIES[family], tmp_path, 10_000)


@pytest.mark.parametrize("family", _FAMILIES)
def test_tokens_that_are_not_special_match_on_every_path(family: str, tmp_path: Path) -> None:
    file = _FAMILIES[family]()
    ours, theirs = _both(file, tmp_path)
    theirs.encode_special_tokens = True  # special tokens are text like any other
    special = set(ours.special_tokens)
    texts = [text for text in _texts(file, 300) if not any(one.strip() in text for one in special)]
    expected = [one.ids for one in theirs.encode_batch(texts, add_special_tokens=False)]
    assert [ours.encode(text) for text in texts] == expected
    assert [ours.encode_ordinary(text) for text in texts] == expected
    assert [ours.encode_bytes(text.encode()) for text in texts] == expected
    assert [ours.count(text) for text in texts] == list(map(len, expected))
    assert ours.encode_batch(texts, threads=2) == expected
    assert [ours.encode(text, max_tokens=5) for text in texts] == [ids[:5] for ids in expected]
    assert [ours.encode_with_offsets(text)[0] for text in texts] == expected
    whole = "\n".join(texts) * 40
    (tmp_path / "text.txt").write_text(whole, encoding="utf-8", newline="")
    ids = theirs.encode(whole, add_special_tokens=False).ids
    assert ours.encode_file(tmp_path / "text.txt", threads=2).tolist() == ids
    ours.encode_to_file(tmp_path / "text.txt", tmp_path / "ids.npy", threads=2)
    assert np.load(tmp_path / "ids.npy").tolist() == ids


@pytest.mark.parametrize("family", _FAMILIES)
def test_offsets_are_places_in_the_text_as_it_was(family: str, tmp_path: Path) -> None:
    file = _FAMILIES[family]()
    file["post_processor"] = None  # leading spaces belong to a token here
    ours, theirs = _both(file, tmp_path)
    differing = 0
    for text in _texts(file, 300):
        ids, offsets = ours.encode_with_offsets(text, allowed_special="all")
        encoding = theirs.encode(text, add_special_tokens=False)
        assert ids == encoding.ids
        assert offsets == sorted(offsets)
        if offsets != [start for start, _ in encoding.offsets]:
            if differing < 3: print(ascii(text), ids, offsets, encoding.offsets)
            differing += 1
    print(family, differing)


def test_damaged_bytes_leave_added_tokens_around_them_alone(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    think = ours.added_tokens["<think>"]
    assert ours.encode_bytes(b"<think>\xff<think>e\xcc\x81") == [think, 0xFF, think, *ours.encode("\u00e9")]


def test_text_comes_back_normalized(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    assert ours.normalizer == "NFC"
    assert ours.decode(ours.encode("cafe\u0301 \u1112\u1161\u11ab")) == "caf\u00e9 한"
