# ruff: noqa: E501 - patterns and parts of texts, a line each
"""The pre_tokenizers of the models in use: each gives the ids of Hugging Face's `tokenizers`, saved and loaded again."""

import json
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bytemill import Tokenizer
from bytemill.errors import FormatError

tokenizers = pytest.importorskip("tokenizers")

_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = _LLAMA3.replace("{1,3}", "")
_DEEPSEEK = [
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
]
_O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _byte_level(prefix: bool = False, regex: bool = True) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": regex}


def _split(pattern: dict[str, str], behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def _regex(pattern: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    return _split({"Regex": pattern}, behavior, invert)


def _sequence(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def _digits(individual: bool) -> dict[str, Any]:
    return {"type": "Digits", "individual_digits": individual}


def _punctuation(behavior: str) -> dict[str, Any]:
    return {"type": "Punctuation", "behavior": behavior}


_BARE = _byte_level(regex=False)
_FAMILIES = {
    "gpt2": _byte_level(),
    "roberta": _byte_level(prefix=True),
    "prefix without regex": _byte_level(prefix=True, regex=False),
    "gpt-neox": _sequence(_byte_level()),
    "llama3": _sequence(_regex(_LLAMA3), _BARE),
    "llama3 removed": _sequence(_regex(_LLAMA3, "Removed", invert=True), _BARE),
    "qwen2": _sequence(_regex(_QWEN2), _BARE),
    "deepseek": _sequence(*[_regex(pattern) for pattern in _DEEPSEEK], _BARE),
    "starcoder2": _sequence(_digits(True), _byte_level()),
    "digits together": _sequence(_digits(False), _byte_level()),
    "digits with prefix": _sequence(_digits(True), _byte_level(prefix=True)),
    "falcon": _sequence(_punctuation("Contiguous"), _byte_level(), _digits(False), _regex("[0-9][0-9][0-9]")),
    "command-r": _sequence(_digits(True), _byte_level(), _regex(r"\s+")),
    "tekken": _sequence(_regex(_O200K), _BARE),
    "split and regex": _sequence(_regex(r"\p{N}{1,3}"), _byte_level()),
    "fixed length": _sequence({"type": "FixedLength", "length": 3}, _byte_level()),
    "nested": _sequence(_sequence(_digits(True)), _sequence(_sequence(_regex(" ")), _BARE)),
    **{
        f"punctuation {behavior}": _sequence(_punctuation(behavior), _byte_level())
        for behavior in ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
    },
    **{
        f"{name} {behavior} {invert}": _sequence(_split(pattern, behavior, invert), _BARE)
        for name, pattern in {
            "text": {"String": "ab"},
            "space": {"String": " "},
            "regex": {"Regex": r"\p{L}+|\n*"},
        }.items()
        for behavior in ("Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")
        for invert in (False, True)
    },
    **{
        f"after {behavior}": _sequence(_byte_level(), _split({"String": "Ġ"}, behavior), _regex("[a-zÃ]+", behavior))
        for behavior in ("Isolated", "MergedWithPrevious", "Contiguous")
    },
}

_PARTS = [
    "the", "The", "HTTP", "don't", "we'LL", "café", "cafe\u0301", "ſ", "ab", "abab", "ñandú", "ß", "ǅ", "北京", "東京は", "ひらがな",
    "カタカナ", "한국어", "ภาษา", "हिन्दी", "العربية", "русский", "0", "7", "12", "123", "1234567", "٣٤", "Ⅷ", "²", "½", "¹²³", "𝟘",
    " ", " ", " ", "  ", "    ", "\t", "\n", "\n\n", "\r\n", "\r", "\u00a0", "\u3000", "\u2003", "\u2028", "\x85", "\x0b",
    ".", ",", "!", "?", "...", "---", "'", "’", '"', "(", ")", "[", "]", "{", "}", "/", "\\", "$", "€", "+", "=", "<", ">", "_",
    "。", "，", "！", "「", "」", "😀", "👩\u200d👩\u200d👧", "🇩🇪", "\u0301", "\u20dd", "\u200b", "\u200d", "\ufeff", "\x00", "\x7f",
]  # fmt: skip


def _texts(n: int, seed: int) -> Iterator[str]:
    generator = random.Random(seed)
    for _ in range(n):
        parts = generator.choices(_PARTS, k=generator.randint(0, 24))
        if generator.random() < 0.2:
            parts.append(generator.choice(_PARTS) * generator.randint(2, 40))
        if generator.random() < 0.2:
            parts.append(
                chr(generator.choice([generator.randrange(0x20, 0xD800), generator.randrange(0xE000, 0x110000)]))
            )
        generator.shuffle(parts)
        yield "".join(parts)


def _trained(pre_tokenizer: dict[str, Any]) -> Any:
    """A small vocabulary that `tokenizers` trains with this pre_tokenizer."""
    bare = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": _byte_level(),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {}, "merges": []},
    }  # fmt: skip
    theirs = tokenizers.Tokenizer.from_str(json.dumps(bare))
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet, show_progress=False)
    theirs.train_from_iterator(_texts(600, seed=1), trainer)
    return theirs


def _assert_alike(ours: Tokenizer, theirs: Any, n: int) -> None:
    for text in _texts(n, seed=2):
        encoding = theirs.encode(text)
        wanted = encoding.ids
        assert ours.encode_ordinary(text) == wanted, repr(text)
        assert ours.encode_with_offsets(text) == (wanted, [start for start, _ in encoding.offsets]), repr(text)
        assert ours.encode_ordinary(text, max_tokens=3) == wanted[:3]


def _check(family: str, n: int, folder: Path) -> None:
    theirs = _trained(_FAMILIES[family])
    theirs.save(str(folder / "theirs.json"))
    ours = Tokenizer.load(folder / "theirs.json")
    _assert_alike(ours, theirs, n)
    ours.save(folder / "ours.json")
    _assert_alike(ours, tokenizers.Tokenizer.from_file(str(folder / "ours.json")), n // 5)
    ours.save(folder / "readable.json", format="readable")
    for again in (
        Tokenizer.load(folder / "ours.json"),
        Tokenizer.load(folder / "readable.json"),
        pickle.loads(pickle.dumps(ours)),
    ):
        assert again.fingerprint == ours.fingerprint
        assert again.pattern == ours.pattern
        _assert_alike(again, theirs, 20)


@pytest.mark.parametrize("family", _FAMILIES)
def test_a_family_of_models(family: str, tmp_path: Path) -> None:
    _check(family, 1_000, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("family", _FAMILIES)
def test_a_family_of_models_on_more_texts(family: str, tmp_path: Path) -> None:
    _check(family, 10_000, tmp_path)


@pytest.mark.parametrize(
    ("pre_tokenizer", "reason"),
    [
        (None, "ByteLevel"),
        (_sequence(), "ByteLevel"),
        (_sequence({"type": "Whitespace"}, _BARE), "step 1, Whitespace, drops white space"),
        (_sequence({"type": "WhitespaceSplit"}, _BARE), "step 1, WhitespaceSplit, drops white space"),
        (_sequence(_digits(True), {"type": "BertPreTokenizer"}, _BARE), "step 2, BertPreTokenizer, drops white space"),
        (_sequence({"type": "UnicodeScripts"}, _BARE), "step 1, UnicodeScripts"),
        (_sequence({"type": "CharDelimiterSplit", "delimiter": "a"}, _BARE), "step 1, CharDelimiterSplit, drops"),
        ({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}, "Metaspace, replaces"),
        (_sequence(_regex(" ", "Removed"), _BARE), 'step 1, "Split": behavior "Removed" loses text'),
        (_sequence(_regex(r"\w+", "Removed", invert=True), _BARE), "loses text"),
        (_sequence(_punctuation("Removed"), _BARE), "loses text"),
        (_sequence(_byte_level(), _byte_level()), "2 ByteLevel steps, expected one"),
        (_sequence(_digits(True)), "0 ByteLevel steps, expected one"),
        (_sequence(_split({"String": ""}), _BARE), "empty"),
        (_sequence({"type": "FixedLength", "length": 0}, _BARE), "at least 1"),
        (_sequence({"type": "Unheard"}, _BARE), "Unheard"),
    ],
)
def test_a_step_that_loses_text_is_refused_by_name(pre_tokenizer: Any, reason: str, tmp_path: Path) -> None:
    file = json.loads(_trained(_byte_level()).to_str())
    file["pre_tokenizer"] = pre_tokenizer
    (tmp_path / "t.json").write_text(json.dumps(file))
    with pytest.raises(FormatError) as caught:
        Tokenizer.load(tmp_path / "t.json")
    assert reason in str(caught.value)


def test_every_character_is_a_digit_or_punctuation_as_there(tmp_path: Path) -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    for step in (_digits(True), _punctuation("Isolated")):
        file = json.loads(_trained(_byte_level()).to_str())
        file["model"]["merges"] = []
        file["pre_tokenizer"] = _sequence(step, _BARE)
        (tmp_path / "t.json").write_text(json.dumps(file))
        ours, theirs = Tokenizer.load(tmp_path / "t.json"), tokenizers.Tokenizer.from_file(str(tmp_path / "t.json"))
        for first in range(0, len(characters), 1 << 15):
            # Twice, so that a character at which is cut is two pieces.
            text = "".join(f"{one}{one}x" for one in characters[first : first + (1 << 15)])
            starts = [ours.pretokens(text)]
            pieces = [piece for piece, _ in theirs.pre_tokenizer.pre_tokenize_str(text)]
            assert [len(piece) for piece in starts[0]] == [len(piece) for piece in pieces]


def test_a_space_before_the_text_comes_back_when_decoding(tmp_path: Path) -> None:
    theirs = _trained(_byte_level(prefix=True))
    theirs.save(str(tmp_path / "t.json"))
    ours = Tokenizer.load(tmp_path / "t.json")
    for text in ("the", " the", "\nthe", ""):
        assert ours.decode(ours.encode_ordinary(text)) == theirs.decode(theirs.encode(text).ids)
    assert ours.decode(ours.encode_ordinary("the")) == " the"


def test_steps_split_whole_files_as_one_text(tmp_path: Path) -> None:
    theirs = _trained(_FAMILIES["deepseek"])
    theirs.save(str(tmp_path / "t.json"))
    ours = Tokenizer.load(tmp_path / "t.json")
    text = "".join(_texts(500, seed=3))
    (tmp_path / "text.txt").write_bytes(text.encode())
    wanted = theirs.encode(text).ids
    assert ours.encode_file(tmp_path / "text.txt", threads=2).tolist() == wanted
    assert ours.encode_to_file(tmp_path / "text.txt", tmp_path / "ids.npy", threads=2) == len(wanted)
    grown = Tokenizer.train(texts=[text], vocab_size=ours.n_vocab + 20, base=ours, special_tokens=())
    assert grown.pattern == ours.pattern
    trained = Tokenizer.train(texts=list(_texts(200, seed=4)), vocab_size=400, pattern=ours.pattern)
    assert trained.pretokens(text) == ours.pretokens(text)
