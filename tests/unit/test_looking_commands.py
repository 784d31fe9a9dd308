"""The commands for looking: each form that they write, each way that they refuse."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bytemill import Tokenizer
from bytemill.cli import main

TEXT = "the cat sat on the mat and the dog sat on the log. 北京大学 " * 20


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `bytemill ARGUMENTS…` in this process, in a folder with a text and a tokenizer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    Tokenizer.train(texts=[TEXT], vocab_size=290).save(tmp_path / "t.json")

    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", ["bytemill", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capfd.readouterr()
        code = stopped.value.code
        return Outcome(code if isinstance(code, int) else 0, out, err)

    return call


def test_compare_writes_every_form(run: Run) -> None:
    words = ("--word", "cat", "--file", "text.txt", "--text", "a cat")
    compared = ("tokenizer", "compare", "t.json", "again=t.json", *words)
    found = json.loads(run(*compared, "--format", "json").out)
    assert found["tokenizers"] == ["t", "again"]
    assert found["texts"][0]["n_bytes"] == len(TEXT.encode())
    assert run(*compared, "--format", "markdown").out.startswith("**Tokens of the same texts**\n\n| text |")
    assert "Pieces of the same words" in run(*compared).out
    assert run(*compared, "-o", "page.html").out == "page.html\n"
    assert Path("page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_compare_with_nothing_to_compare_on_is_misuse(run: Run) -> None:
    outcome = run("tokenizer", "compare", "t.json")
    assert (outcome.code, outcome.err) == (2, "bytemill: nothing to compare on: give --file, --text or --word\n")


def test_a_name_that_tells_no_form_is_misuse(run: Run) -> None:
    outcome = run("tokenizer", "audit", "-t", "t.json", "-o", "page.pdf")
    assert outcome.code == 2
    assert "page.pdf: unknown file ending" in outcome.err


def test_check_ends_with_1_where_something_is_lost(run: Run) -> None:
    assert run("tokenizer", "check", "-t", "t.json", "text.txt").code == 0
    Path("latin1.txt").write_bytes(b"caf\xe9 caf\xe9")
    outcome = run("tokenizer", "check", "-t", "t.json", "text.txt", "latin1.txt")
    assert outcome.code == 1
    assert "latin1.txt: 2 places differ\n  line 1, column 4: “\\xe9” became “�”\n" in outcome.out
    assert outcome.err.endswith("bytemill: not lossless: latin1.txt\n")
    rows = run("tokenizer", "check", "-t", "t.json", "--json", "text.txt", "latin1.txt").out.splitlines()
    assert [json.loads(row)["lossless"] for row in rows] == [True, False]


def test_inspect_prints_a_token_a_line_and_each_merge(run: Run) -> None:
    tokenizer = Tokenizer.load("t.json")
    inspected = ("tokenizer", "inspect", "-t", "t.json", "--text", "the cat\n")
    lines = run(*inspected).out.splitlines()
    assert [int(line.split("\t")[0]) for line in lines] == tokenizer.encode("the cat\n")
    assert "step  merge" in run(*inspected, "--trace").out
    found = json.loads(run(*inspected, "--trace", "--format", "json").out)
    assert [piece["id"] for piece in found["texts"][0]] == tokenizer.encode("the cat\n")
    assert [bytes.fromhex(one["pretoken"]) for one in found["trace"]] == [b"the", b" cat", b"\n"]
    assert run(*inspected, "-o", "page.md").code == 2
    assert 'class="token-1"' in run(*inspected, "--format", "html").out


def test_audit_answers_ten_questions_in_text_markdown_and_json(run: Run) -> None:
    audited = ("tokenizer", "audit", "-t", "t.json")
    assert "\n10. Where is a language model not end to end?\n" in run(*audited).out
    assert run(*audited, "--format", "markdown").out.count("\n## ") == 10
    assert len(json.loads(run(*audited, "--format", "json").out)) == 10


def test_audit_of_a_model_asks_an_eleventh(run: Run) -> None:
    from bytemill.model import GPT2, GPT2Config

    tokenizer = Tokenizer.load("t.json")
    GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_layer=1, n_head=1, n_embd=8)).save_huggingface("model")
    answers = json.loads(run("tokenizer", "audit", "-t", "t.json", "-m", "model", "--format", "json").out)
    assert answers[-1]["question"] == "Which tokens are under-trained in this model?"


def test_the_doctor_tells_people_and_programs(run: Run) -> None:
    told = run("doctor").out
    assert all(part in told for part in ("This machine", "What bytemill uses", "What would make it faster"))
    facts = json.loads(run("doctor", "--json").out)
    assert {"cores", "torch", "uses", "advice"} <= set(facts)


@pytest.mark.parametrize(
    "command", [("train",), *(("finetune", task) for task in ("lm", "instruct", "chat", "classify", "preference"))]
)
def test_print_config_shows_what_was_set_and_starts_nothing(run: Run, command: tuple[str, ...]) -> None:
    outcome = run(*command, "--print-config", "--set", "train.max_steps=7")
    assert outcome.code == 0
    assert "# Optimizer steps of the whole run.\nmax_steps = 7\n" in outcome.out
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("bytemill doc", "doctor"),
        ("bytemill tokenizer aud", "audit"),
        ("bytemill tokenizer audit --lang", "--languages"),
    ],
)
def test_the_shell_completes_commands_and_options(words: str, expected: str) -> None:
    asked = {"_BYTEMILL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    command = [sys.executable, "-m", "bytemill"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | asked)
    assert found.stdout.split() == [expected]
