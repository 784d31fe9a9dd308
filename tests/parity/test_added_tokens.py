"""Added tokens, normalization and post-processors: ids equal to Hugging Face's `tokenizers`, family by family."""

from __future__ import annotations

import copy
import hashlib
import json
import multiprocessing
import pickle
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bytemill import Tokenizer, _core
from bytemill.data import prepare, verify
from bytemill.errors import ArgumentError, FormatError
from bytemill.tokenizer.round_trip import check_round_trip

if TYPE_CHECKING:
    from collections.abc import Callable

    import tokenizers

_TEXTS = [
    "The café in naïve Zürich costs 12 € per day.\n    def f(x):\n\t\treturn x\n",
    "한국어 텍스트 각 각각 語 漢字 가나다",
] * 3
_VOCAB_SIZE = 400


def _base(pattern: str, **model: Any) -> dict[str, Any]:
    """A tokenizer.json without added tokens, trained on a few sentences."""
    trained = Tokenizer.train(texts=_TEXTS, vocab_size=_VOCAB_SIZE, pattern=pattern, special_tokens=())
    file: dict[str, Any] = json.loads(_saved(trained))
    file["model"].update(model)
    return file


def _saved(tokenizer: Tokenizer) -> str:
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
    pair = [
        *single,
        {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 1}},
        {"Sequence": {"id": "B", "type_id": 1}},
    ]
    named = {"<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [bos], "tokens": ["<|begin_of_text|>"]}}
    template = {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": named}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    file["post_processor"] = {"type": "Sequence", "processors": [byte_level, template]}
    return file


def _deepseek() -> dict[str, Any]:
    """Added tokens that are spelled like bytes which no text has, and which are missing from the vocabulary."""
    file = _base("gpt2")
    vocab: dict[str, int] = file["model"]["vocab"]
    spelled = [chr(code) for code in (0xF5, 0xF6, 0xFF, 0xC0)]
    kept = [token for token in sorted(vocab, key=vocab.__getitem__) if token not in spelled]
    file["model"]["vocab"] = {token: number for number, token in enumerate(kept)}
    _add(file, *spelled, normalized=True, special=False)
    _add(file, "<|begin|>")
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
    "deepseek": _deepseek,
    "merged": _merged,
}
_PIECES = (
    *"abcde éèïüñ中文語각한\n\t .,'/|1٣",
    *(
        "e\u0301",
        "e\u0323\u0301",
        "e\u0301\u0323",
        "a\u0308",
        "\u1112\u1161\u11ab",
        "\u1100\u1161",
        "\u11a8",
        "\u212b",
        "\u0301",
    ),
    *(
        "\u0344",
        "\u0958",
        "\u09c7\u09be",
        "\U0001d15e",
        "\u1e9b\u0323",
        "\u0897\u0301",
        "\u08d3",
        "\u3000",
        "\u200d",
        "😀",
    ),
    *(
        "  ",
        "    ",
        "\n\n",
        "\t\t",
        " \n",
        "The café ",
        "def ",
        "return",
        "cafe\u0301|",
        "the",
        "react",
        "water",
        "Theta",
        "thin",
    ),
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
    n_equal = n_all = 0
    for text in _texts(file, 300):
        ids, offsets = ours.encode_with_offsets(text, allowed_special="all")
        encoding = theirs.encode(text, add_special_tokens=False)
        assert ids == encoding.ids
        expected = [start for start, _ in encoding.offsets]
        equal = np.equal(offsets, expected)
        if ours.normalized(text) == text:
            assert equal.all(), ascii(text)
        n_equal, n_all = n_equal + int(equal.sum()), n_all + len(expected)
    assert n_equal >= 0.99 * n_all  # inside a base and its marks that change there may be others


@pytest.mark.parametrize("normalizer", [None, {"type": "NFC"}], ids=["plain", "nfc"])
@pytest.mark.parametrize("digits", [False, True])
def test_a_space_that_is_put_in_has_the_offset_of_what_follows(
    digits: bool, normalizer: dict[str, str] | None, tmp_path: Path
) -> None:
    file = _base("gpt2")
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    steps = [{"type": "Digits", "individual_digits": True}, byte_level] if digits else [byte_level]
    file.update(normalizer=normalizer, post_processor=None)
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    _add(file, "<t>", special=False)
    ours, theirs = _both(file, tmp_path)
    for text in ("", "é", "The café", " The", "costs 12 € 3", "cafe\u0301<t>12 <t> day", "\nday"):
        expected = theirs.encode(text)
        assert ours.encode_with_offsets(text) == (expected.ids, [start for start, _ in expected.offsets]), repr(text)


@pytest.mark.parametrize("family", _FAMILIES)
def test_added_tokens_have_the_names_that_tokenizers_gives(family: str, tmp_path: Path) -> None:
    ours, theirs = _both(_FAMILIES[family](), tmp_path)
    vocabulary = theirs.get_vocab()
    assert ours.get_vocab() == vocabulary
    assert [ours.id_to_token(one) for one in vocabulary.values()] == list(vocabulary)
    for token in [*vocabulary, "\u0120\u0120", " The ca", "caf\u00c3\u00a9|", "\u010a"]:
        assert ours.token_to_id(token) == theirs.token_to_id(token), ascii(token)
    for content, one in {**ours.special_tokens, **ours.added_tokens}.items():
        assert ours.encode_single_token(content) == one


@pytest.mark.parametrize("family", _FAMILIES)
def test_only_special_tokens_are_skipped(family: str, tmp_path: Path) -> None:
    file = _FAMILIES[family]()
    ours, theirs = _both(file, tmp_path)
    # tokenizers takes added tokens such as "café|" for spelled bytes, and loses their text.
    lost = [token["id"] for token in file["added_tokens"] if not token["content"].isascii()]
    for text in _texts(file, 200):
        ids = [one for one in ours.encode(text, allowed_special="all") if one not in lost]
        for skip in (False, True):
            assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)
    for content, one in ours.added_tokens.items():
        expected = ours.decode([one])
        assert ours.normalized(content) == ours.normalized(expected)
        assert ours.decode([one], skip_special_tokens=True) == expected


def test_a_token_with_lstrip_in_white_space_that_the_one_before_took(tmp_path: Path) -> None:
    file = _base("gpt2")
    _add(file, "<x>", rstrip=True, special=False)
    _add(file, "\n", lstrip=True, special=False)
    ours, theirs = _both(file, tmp_path)
    x, newline = ours.added_tokens["<x>"], ours.added_tokens["\n"]
    for text, ids in {"<x>\n": [x], "a \n<x>\n": [97, newline, x], "<x>\nb<x>\n": [x, 98, x]}.items():
        assert ours.encode(text) == theirs.encode(text).ids == ids
    for text, ids in {"<x>\n b": [x, 98], "<x> \n\n <x>\t": [x, x]}.items():  # tokenizers panics
        assert ours.encode(text) == ids
        assert ours.encode_with_offsets(text) == (ids, [0, len(text) - 1] if "b" in text else [0, text.rindex("<")])
        assert ours.encode_batch([text] * 3, threads=2) == [ids] * 3


def test_damaged_bytes_leave_added_tokens_around_them_alone(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    think = ours.added_tokens["<think>"]
    assert ours.encode_bytes(b"<think>\xff<think>e\xcc\x81") == [think, 0xFF, think, *ours.encode("\u00e9")]


def test_text_comes_back_normalized(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    assert ours.normalizer == "NFC"
    assert ours.decode(ours.encode("cafe\u0301 \u1112\u1161\u11ab")) == "caf\u00e9 한"


def test_the_spelling_of_a_normalized_token_is_kept(tmp_path: Path) -> None:
    file = _base("gpt2")
    file["normalizer"] = {"type": "NFC"}
    _add(file, "e\u0301|", normalized=True, special=False)
    ours, theirs = _both(file, tmp_path)
    assert ours.added_tokens == {"e\u0301|": theirs.token_to_id("e\u0301|")}
    for text in ("e\u0301|", "\u00e9|"):
        assert ours.encode(text) == theirs.encode(text).ids
        assert ours.decode(ours.encode(text)) == "\u00e9|"


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ([("<pad>", 300)], '"<pad>" has id 300, and tokenizers gives it 256'),
        ([("<b>", 257), ("<a>", 256)], '"<b>" has id 257, and tokenizers gives it 256'),
        ([("<a>", 256), ("<b>", 258)], '"<b>" has id 258, and tokenizers gives it 257'),
        ([("a", 300)], "has id 300, but 97 in model.vocab"),
        ([("\u00e9", 233)], r'is also how the ordinary token "\\xe9" is written, and id 233 cannot be both'),
        ([("\u0120", 32)], 'is also how the ordinary token " " is written, and id 32 cannot be both'),
    ],
)
def test_ids_that_tokenizers_does_not_give_are_refused(tmp_path: Path, added: list[Any], message: str) -> None:
    file = json.loads(_saved(Tokenizer.train(texts=["a"], vocab_size=256, special_tokens=())))
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    file["added_tokens"] = [{"id": one, "content": content, **flags} for content, one in added]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(file), encoding="utf-8")
    with pytest.raises(FormatError, match=message):
        Tokenizer.load(path)


def test_ids_in_the_order_of_the_file_are_those_of_tokenizers(tmp_path: Path) -> None:
    file = _base("gpt2")
    size = len(file["model"]["vocab"])
    file["model"]["vocab"]["<far>"] = size + 50
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    ids = {"<far>": size + 50, "<one>": size + 1, "<two>": size + 2}
    file["added_tokens"] = [{"id": one, "content": content, **flags} for content, one in ids.items()]
    ours, theirs = _both(file, tmp_path)
    assert ours.special_tokens == ids
    assert ours.encode("<two><far>x<one>", allowed_special="all") == theirs.encode("<two><far>x<one>").ids


def test_a_post_processor_survives_and_reaches_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    file = _llama3()
    ours, theirs = _both(file, tmp_path)
    expected = theirs.encode("x").ids
    assert expected == [ours.special_tokens["<|begin_of_text|>"], 120]
    assert ours.encode("x") == [120]  # the template is for those who read the file
    ours.save(tmp_path / "tokenizer.json")
    saved = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert saved["post_processor"] == file["post_processor"]
    assert transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path).encode("x") == expected
    handed = ours.to_huggingface()
    assert (handed.encode("x"), handed.bos_token) == (expected, "<|begin_of_text|>")
    handed.save_pretrained(tmp_path / "folder")
    again = transformers.AutoTokenizer.from_pretrained(tmp_path / "folder")
    assert (again.encode("x"), again.bos_token) == (expected, "<|begin_of_text|>")
    assert Tokenizer.from_huggingface(again).fingerprint == ours.fingerprint


def test_text_of_tokens_that_are_not_special_stays_when_special_ones_are_skipped(tmp_path: Path) -> None:
    ours, _ = _both(_codegen(), tmp_path)
    text = "def f(x):\n    return x"
    assert ours.to_huggingface().decode(ours.encode(text), skip_special_tokens=True) == text
    with pytest.raises(ArgumentError, match="is found in any text"):
        ours.to_tiktoken()


@pytest.mark.parametrize("family", _FAMILIES)
def test_copies_keep_everything(family: str, tmp_path: Path) -> None:
    file = _FAMILIES[family]()
    ours, _ = _both(file, tmp_path)
    ours.save(tmp_path / "readable.json", format="readable")
    copies = [pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours), Tokenizer.load(tmp_path / "readable.json")]
    with multiprocessing.get_context("fork").Pool(1) as pool:
        copies.append(pool.apply(copy.copy, (ours,)))
    for text in _texts(file, 50):
        ids = ours.encode(text, allowed_special="all")
        assert all(one.encode(text, allowed_special="all") == ids for one in copies)
    assert {_saved(one) for one in copies} == {_saved(ours)}


def test_a_normalizing_tokenizer_is_not_trained_further(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    with pytest.raises(ArgumentError, match="base is a vocabulary that normalizes text"):
        Tokenizer.train(texts=["text"], vocab_size=500, base=ours)


def test_training_goes_on_with_all_added_tokens(tmp_path: Path) -> None:
    ours, _ = _both(_codegen(), tmp_path)
    more = Tokenizer.train(
        texts=["go on and on and on"], vocab_size=ours.n_vocab + 3, base=ours, special_tokens=["<new>"]
    )
    assert more.added_tokens == ours.added_tokens
    assert more.special_tokens == {**ours.special_tokens, "<new>": more.n_vocab - 1}


def test_what_normalization_changes_is_no_fault(tmp_path: Path) -> None:
    ours, _ = _both(_qwen(), tmp_path)
    found = check_round_trip(ours, "cafe\u0301\nplain".encode())
    assert (found.normalization, [one.became for one in found.differences]) == ("NFC", ["\u00e9"])
    assert check_round_trip(ours, b"plain").is_lossless
    assert check_round_trip(ours, b"cafe\xcc\x81\xff").normalization is None


def _strips() -> dict[str, Any]:
    file = _base("gpt2")
    _add(file, "<|endoftext|>")
    _add(file, "<t>", lstrip=True, rstrip=True, special=False)
    return file


def _puts_in_spaces() -> dict[str, Any]:
    file = _base("gpt2")
    digits = {"type": "Digits", "individual_digits": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
    file["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, byte_level]}
    _add(file, "<|endoftext|>")
    return file


_CHANGING = {"strips": _strips, "puts_in_spaces": _puts_in_spaces, "qwen": _qwen, "merged": _merged}


@pytest.mark.parametrize("family", _CHANGING)
def test_shards_of_tokenizers_that_change_text_are_compared_with_it(family: str, tmp_path: Path) -> None:
    """Decoding cannot give the text back: spaces are lost or put in, marks are composed; a name may be special."""
    ours, theirs = _both(_CHANGING[family](), tmp_path)
    texts = [f"cafe\u0301 <t> {number} water\n <t>the end" for number in range(300)]
    source, folder = tmp_path / "rows.jsonl", tmp_path / "shards"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    prepare([source], folder, tokenizer=ours, val=0, seed=1, check=True)
    verify(folder, against=source, tokenizer=ours)
    split = _core.SplitReader(folder, "train")
    theirs.encode_special_tokens = True
    expected = {(ours.eot_token, *one.ids) for one in theirs.encode_batch(texts)}
    ids, starts = split.read(0, len(split)), split.document_starts()
    assert {tuple(one.tolist()) for one in np.split(ids, starts[1:])} == expected


def test_wrong_ids_of_a_tokenizer_that_normalizes_are_found(tmp_path: Path) -> None:
    file = _qwen()
    normalizing, _ = _both(file, tmp_path)
    file["normalizer"] = None
    other, _ = _both(file, tmp_path)
    source, folder = tmp_path / "text.txt", tmp_path / "shards"
    source.write_text("plain\ncafe\u0301", encoding="utf-8")
    prepare([source], folder, tokenizer=other, val=0)
    manifest = folder / "manifest.json"
    text = manifest.read_text(encoding="utf-8").replace(other.fingerprint, normalizing.fingerprint)
    before, after = text[:-68], text[-4:]  # 64 digits of a hash lie between
    manifest.write_text(before + hashlib.sha256(before.encode()).hexdigest() + after, encoding="utf-8")
    where = r"train_000000\.bin: token \d, document 0 of train .*text\.txt, line 1, byte 0.*but the text encodes to id"
    with pytest.raises(FormatError, match=where):
        verify(folder, against=source, tokenizer=normalizing)


def test_shards_hold_the_ids_of_tokenizers(tmp_path: Path) -> None:
    """Long documents are cut between threads, where no token and no sequence of marks is cut."""
    for family in ("qwen", "codegen"):
        ours, theirs = _both(_FAMILIES[family](), tmp_path)
        generator = random.Random(1)
        lines = ["".join(generator.choices(_PIECES, k=generator.randint(0, 24))) for _ in range(60_000)]
        text = "\n".join(lines)
        (tmp_path / "text.txt").write_text(text, encoding="utf-8", newline="")
        folder = tmp_path / family
        prepare([tmp_path / "text.txt"], folder, tokenizer=ours, threads=3, val=0)
        ids = [ours.eot_token, *theirs.encode(text, add_special_tokens=False).ids]
        split = _core.SplitReader(folder, "train")
        assert split.read(0, len(split)).tolist() == ids


@pytest.mark.parametrize("between", ["", "word ", "word  \n"])
def test_a_long_document_is_not_cut_inside_a_token_that_any_text_has(between: str, tmp_path: Path) -> None:
    """Its letters and its last sign are places to cut at in ordinary text."""
    ours, theirs = _both(_qwen(), tmp_path)
    text = f"<think>{between}" * 90_000
    (tmp_path / "text.txt").write_text(text, encoding="utf-8", newline="")
    prepare([tmp_path / "text.txt"], tmp_path / "shards", tokenizer=ours, threads=2, val=0, check=True)
    split = _core.SplitReader(tmp_path / "shards", "train")
    assert split.read(0, len(split)).tolist() == [ours.eot_token, *theirs.encode(text).ids]
