"""What once went wrong with `bytemill tokenizer` and its siblings; each test is named after what broke."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

import bytemill.tokenizer.source as sources
from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.errors import ArgumentError
from bytemill.tokenizer import trace as tracing
from bytemill.tokenizer.audit import audit
from bytemill.tokenizer.compare import compare
from bytemill.tokenizer.trace import trace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOT_UTF8 = os.fsdecode(b"\xff")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run `bytemill ARGUMENTS…` in this process."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        return Outcome(int(stopped.value.code or 0), *capfd.readouterr())

    return call


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    Tokenizer.train(texts=["low low"], vocab_size=259).save(path)
    return path


@pytest.fixture
def tiktokens_names(monkeypatch: pytest.MonkeyPatch) -> Tokenizer:
    """`named` is a name that tiktoken knows, without the network."""
    made = Tokenizer.train(texts=["to be or not to be"] * 3, vocab_size=270)
    monkeypatch.setattr(sources, "_tiktoken_names", lambda: ["named"])
    monkeypatch.setattr(sources.Tokenizer, "from_tiktoken", classmethod(lambda cls, name: cls(made)))
    return made


def says(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("bytemill: ")
    for word in words:
        assert word in outcome.err


@pytest.mark.parametrize("end", ["</s>", "low", ""])
@pytest.mark.parametrize("out", ["ids.bin", "-"])
@pytest.mark.parametrize("given", ["file", "text"])
def test_an_unknown_end_token_was_a_traceback(
    run: Callable[..., Outcome], tokenizer: Path, tmp_path: Path, end: str, out: str, given: str
) -> None:
    (tmp_path / "text.txt").write_text("low")
    given_text = [tmp_path / "text.txt"] if given == "file" else ["--text", "low"]
    target = out if out == "-" else tmp_path / out
    outcome = run("tokenizer", "encode", "-t", tokenizer, *given_text, "--out", target, "--end-token", end)
    says(outcome, 2, "end-token", repr(end), "<|endoftext|>")
    assert not (tmp_path / "ids.bin").exists()


def test_a_tokenizer_of_the_hub_without_its_package_was_a_traceback(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for command in ("encode", "decode", "inspect", "check", "audit"):
        says(run("tokenizer", command, "-t", "hf:gpt2"), 2, "gpt2", "bytemill[hf]")
    with pytest.raises(ArgumentError, match=r"pip install 'bytemill\[hf\]'"):
        Tokenizer.from_huggingface("gpt2")


@pytest.mark.parametrize("repository", ["a/b/c", "", "a b", "/", "../x"])
def test_what_no_repository_can_be_called_was_a_traceback(run: Callable[..., Outcome], repository: str) -> None:
    for command in ("encode", "inspect"):
        says(run("tokenizer", command, "-t", f"hf:{repository}", "--text", "x"), 2, "OWNER/NAME")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", "OUT", "--pattern", NOT_UTF8),
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", "OUT", f"--pattern={NOT_UTF8}"),
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", "OUT", "--special-token", NOT_UTF8),
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", "OUT", "--separator", NOT_UTF8),
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", "OUT", "--text-field", NOT_UTF8),
        ("tokenizer", "train", "TEXT", "--vocab-size", 300, "-o", NOT_UTF8),
        ("tokenizer", "encode", "-t", "TOKENIZER", "--text", NOT_UTF8),
        ("tokenizer", "encode", "-t", "TOKENIZER", "TEXT", "--out", "OUT", "--end-token", NOT_UTF8),
        ("tokenizer", "decode", "-t", "TOKENIZER", "--ids", NOT_UTF8),
        ("tokenizer", "compare", f"{NOT_UTF8}=TOKENIZER", "--text", "x"),
        ("tokenizer", "convert", "TOKENIZER", "OUT", "--pattern", NOT_UTF8),
        ("data", "prepare", "TEXT", "-t", "TOKENIZER", "-o", "OUT", "--text-field", NOT_UTF8),
        ("train", "--set", f"data.path={NOT_UTF8}"),
        ("generate", "-m", "RUN", "--prompt", NOT_UTF8),
    ],
)
def test_arguments_that_are_not_utf8_were_tracebacks(
    run: Callable[..., Outcome], tokenizer: Path, tmp_path: Path, arguments: tuple[object, ...]
) -> None:
    (tmp_path / "text.txt").write_text("low low")
    named = {"TEXT": tmp_path / "text.txt", "OUT": tmp_path / "out", "TOKENIZER": tokenizer}
    says(run(*(named.get(str(one), one) for one in arguments)), 2, r"\xff", "not UTF-8")
    assert not (tmp_path / "out").exists()


def test_files_may_have_any_name(run: Callable[..., Outcome], tokenizer: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.txt")
    path.write_text("low")
    outcome = run("tokenizer", "encode", "-t", tokenizer, path)
    assert (outcome.code, outcome.out) == (0, "257\n")


def test_names_of_tiktoken_worked_in_some_commands_alone(
    run: Callable[..., Outcome], tiktokens_names: Tokenizer, tmp_path: Path
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be")
    ids = tiktokens_names.encode("to be")
    assert run("tokenizer", "encode", "-t", "named", text, "--json").out == f"{json.dumps(ids)}\n"
    assert run("tokenizer", "decode", "-t", "named", "--ids", str(ids)).out == "to be"
    assert run("tokenizer", "convert", "named", tmp_path / "copy.json").code == 0
    assert Tokenizer.load(tmp_path / "copy.json").merges == tiktokens_names.merges
    grown = run("tokenizer", "train", text, "--vocab-size", 271, "-o", tmp_path / "grown.json", "--base", "named")
    assert grown.code == 0, grown.err
    assert set(tiktokens_names.get_vocab()) <= set(Tokenizer.load(tmp_path / "grown.json").get_vocab())
    for command in (
        ("tokenizer", "inspect", "-t", "named", text),
        ("tokenizer", "check", "-t", "named", text),
        ("tokenizer", "compare", "named", "-f", text),
        ("tokenizer", "audit", "-t", "named"),
        ("data", "prepare", text, "-t", "named", "-o", tmp_path / "shards", "--val", "0"),
        ("data", "inspect", tmp_path / "shards", "-t", "named"),
        ("data", "stats", tmp_path / "shards", "-t", "named"),
    ):
        outcome = run(*command)
        assert outcome.code == 0, outcome.err
    for command in (("encode", "--text", "x"), ("decode", "--ids", "1")):
        says(run("tokenizer", *command, "-t", "unknown"), 2, "no tokenizer 'unknown'", "named")


@pytest.mark.parametrize("size", [10, 256, 300, 10**30, "x"])
def test_sizes_that_cannot_be_were_found_after_the_training(
    run: Callable[..., Outcome], tmp_path: Path, size: object
) -> None:
    (tmp_path / "text.txt").write_text("low low")
    arguments = ("--vocab-size", 300, "-o", tmp_path / "t.json", "--also-save", f"257,{size}")
    says(run("tokenizer", "train", tmp_path / "text.txt", *arguments), 2, "--also-save", str(size), "257", "300")
    assert not (tmp_path / "t.json").exists()


def test_held_out_text_that_is_not_there_was_found_after_the_training(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("low low")
    (tmp_path / "empty.txt").touch()
    arguments = (tmp_path / "text.txt", "--vocab-size", 300, "-o", tmp_path / "t.json", "--held-out")
    says(run("tokenizer", "train", *arguments, tmp_path / "missing"), 1, "missing: No such file or directory")
    says(run("tokenizer", "train", *arguments, tmp_path / "empty.txt"), 1, "--held-out", "empty")
    assert not (tmp_path / "t.json").exists()


def test_a_trace_of_one_long_pretoken_took_the_square_of_its_length(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    whole = Tokenizer.train(texts=["aaaa"], vocab_size=258, pattern=None, special_tokens=())
    whole.save(tmp_path / "t.json")
    outcome = run("tokenizer", "inspect", "-t", tmp_path / "t.json", "--text", "a" * 20_000, "--trace")
    says(outcome, 2, "20,000 bytes", "at most 1,000")
    assert run("tokenizer", "inspect", "-t", tmp_path / "t.json", "--text", "a" * 20_000).code == 0
    (longest,) = trace(whole, "a" * tracing.MOST_BYTES)
    assert len(longest.tokens) == tracing.MOST_BYTES / 4
    with pytest.raises(ArgumentError, match="1,001 bytes"):
        trace(whole, "a" * (tracing.MOST_BYTES + 1))


def test_a_special_token_of_a_high_id_took_time_for_each_id_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "t.tiktoken"
    Tokenizer.train(texts=["low low"], vocab_size=258, special_tokens=()).save(saved, format="tiktoken")
    high = Tokenizer.load(saved, pattern="gpt2", special_tokens={"<high>": 16_777_215})
    looked_up = []
    plain = Tokenizer.decode_single_token_bytes

    def counted(self: Tokenizer, token: int) -> bytes:
        looked_up.append(token)
        return plain(self, token)

    monkeypatch.setattr(Tokenizer, "decode_single_token_bytes", counted)
    ends = compare({"high": high}, {"a text": "low"}).vocabularies["high"]
    assert [piece.id for piece in ends.last] == [*range(249, 258), 16_777_215]
    assert [piece.id for piece in ends.first] == [*range(10)]
    audit(high)
    assert len(looked_up) < 20_000
