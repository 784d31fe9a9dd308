"""Bad input on the command line: one clear sentence on stderr, exit 2 for misuse and 1 for failure."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from bytemill.cli import main


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `bytemill ARGUMENTS…` in this process."""

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        code = stopped.value.code
        return Outcome(code if isinstance(code, int) else 0, *capfd.readouterr())

    return call


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat and the dog sat on the log. " * 200)
    return path


@pytest.fixture
def tokenizer(tmp_path: Path, text: Path, run: Run) -> Path:
    path = tmp_path / "tokenizer.json"
    assert run("tokenizer", "train", text, "--vocab-size", 280, "--output", path).code == 0
    return path


@pytest.fixture
def shards(tmp_path: Path, text: Path, tokenizer: Path, run: Run) -> Path:
    folder = tmp_path / "shards"
    assert run("data", "prepare", text, "--tokenizer", tokenizer, "--output", folder).code == 0
    return folder


def says_one_sentence(outcome: Outcome, code: int, *words: str) -> None:
    assert outcome.code == code, outcome
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert len(lines) == 1, outcome.err
    assert lines[0].startswith("bytemill: ")
    assert "Traceback" not in outcome.err
    for word in words:
        assert word in lines[0], lines[0]


def test_missing_text(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "no-such.txt"
    outcome = run("tokenizer", "train", missing, "--vocab-size", 300, "--output", tmp_path / "t.json")
    says_one_sentence(outcome, 1, "no-such.txt", "No such file")


def test_folder_without_text(run: Run, tmp_path: Path) -> None:
    outcome = run("tokenizer", "train", tmp_path, "--vocab-size", 300, "--output", tmp_path / "t.json")
    says_one_sentence(outcome, 1, str(tmp_path))


def test_vocabulary_too_small(run: Run, text: Path, tmp_path: Path) -> None:
    outcome = run("tokenizer", "train", text, "--vocab-size", 256, "--output", tmp_path / "t.json")
    says_one_sentence(outcome, 2, "vocab_size", "256", "257")
    assert not (tmp_path / "t.json").exists()


def test_pattern_that_does_not_compile(run: Run, text: Path, tmp_path: Path) -> None:
    outcome = run("tokenizer", "train", text, "--vocab-size", 300, "--pattern", "(", "--output", tmp_path / "t.json")
    says_one_sentence(outcome, 2, "pattern", "(")


def test_tokenizer_cut_short(run: Run, tokenizer: Path) -> None:
    tokenizer.write_bytes(tokenizer.read_bytes()[:500])
    says_one_sentence(run("tokenizer", "encode", "--tokenizer", tokenizer, "--text", "x"), 1, "tokenizer.json")


def test_ids_out_of_range(run: Run, tokenizer: Path) -> None:
    outcome = run("tokenizer", "decode", "--tokenizer", tokenizer, "--ids", "1 2 99999")
    says_one_sentence(outcome, 1, "99999", "position 2")


def test_a_file_that_holds_no_row_of_ids_is_named(run: Run, tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.npy").write_bytes(b"")
    with (tmp_path / "several.npy").open("wb") as file:
        np.savez(file, a=np.arange(3))
    for name in ("empty", "several"):
        outcome = run("tokenizer", "decode", "-t", tokenizer, tmp_path / f"{name}.npy")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert f"{name}.npy: not a file of ids" in outcome.err
    outcome = run("tokenizer", "decode", "-t", tokenizer, "--ids", "9" * 5000)
    assert (outcome.code, len(outcome.err) < 200) == (2, True)


def test_empty_corpus(run: Run, tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    outcome = run("data", "prepare", tmp_path / "empty.txt", "--tokenizer", tokenizer, "--output", tmp_path / "out")
    says_one_sentence(outcome, 1, "empty")


def test_damaged_shard(run: Run, shards: Path) -> None:
    shard = next(shards.glob("train*.bin"))
    damaged = bytearray(shard.read_bytes())
    damaged[2_000] ^= 1
    shard.write_bytes(damaged)
    says_one_sentence(run("data", "verify", shards), 1, shard.name)


def test_rows_that_are_not_json(run: Run, tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    outcome = run("data", "prepare", tmp_path / "rows.jsonl", "--tokenizer", tokenizer, "--output", tmp_path / "out")
    says_one_sentence(outcome, 1, "rows.jsonl", "line 2")


def test_rows_without_the_field(run: Run, tokenizer: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps({"body": "x", "title": "y"}) + "\n")
    outcome = run("data", "prepare", tmp_path / "rows.jsonl", "--tokenizer", tokenizer, "--output", tmp_path / "out")
    says_one_sentence(outcome, 1, "text", "body", "line 1")


def test_unknown_setting(run: Run, shards: Path, tokenizer: Path) -> None:
    outcome = run("train", "--set", f"data.path={shards}", f"data.tokenizer={tokenizer}", "train.learning_rte=1")
    says_one_sentence(outcome, 2, "train.learning_rte", "train.learning_rate")


def test_setting_of_the_wrong_kind(run: Run, shards: Path, tokenizer: Path) -> None:
    outcome = run("train", "--set", f"data.path={shards}", f"data.tokenizer={tokenizer}", "train.max_steps=many")
    says_one_sentence(outcome, 2, "train.max_steps", "many")
