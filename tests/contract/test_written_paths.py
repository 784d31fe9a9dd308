"""Where commands write: `-` is stdout or an error, an empty path an error, and a checkpoint is left as it is."""

import io
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import typer

from bytemill import Tokenizer
from bytemill.cli import app, main, output_paths

WRITTEN = {"output", "out", "page", "plot", "save_counts", "report"}
ARGUMENTS_ON_DISK = {("model", "export", "m", "-"), ("model", "import", "m", "-"), ("model", "merge", "m", "-")}
TEXT = "the cat sat on the mat"


class Outcome(NamedTuple):
    code: int
    out: bytes
    err: str


@pytest.fixture
def run(monkeypatch, capfdbinary, tmp_path):
    """Runs `bytemill ARGUMENTS…` in this process and an empty folder, which has no file called - afterwards."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        assert not Path("-").exists()
        out, err = capfdbinary.readouterr()
        return Outcome(stopped.value.code or 0, out, err.decode())

    return call


@pytest.fixture
def tokenizer(tmp_path):
    tokenizer = Tokenizer.train(texts=[TEXT] * 3, vocab_size=270)
    tokenizer.save(tmp_path / "t.json")
    return tokenizer


def options_that_write(group: Any = None, words: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Each option for a path to write, behind the words of its command."""
    group = group or typer.main.get_command(app)
    if hasattr(group, "commands"):
        return [one for word, below in group.commands.items() for one in options_that_write(below, (*words, word))]
    return [(words, option) for option in group.params if option.name in WRITTEN and option.opts[0].startswith("--")]


OPTIONS = options_that_write()
REFUSING = [(*words, option.opts[0], "-") for words, option in OPTIONS if "stdout" not in option.help]


def test_there_are_options_of_both_kinds() -> None:
    assert {"--output", "--page", "--plot", "--report", "--save-counts"} <= {command[-2] for command in REFUSING}
    with_stdout = {(words[-1], option.name) for words, option in OPTIONS if "stdout" in option.help}
    assert {("encode", "out"), ("decode", "out"), ("train", "output"), ("report", "output")} <= with_stdout


@pytest.mark.parametrize("command", sorted([*REFUSING, *ARGUMENTS_ON_DISK]), ids=" ".join)
def test_what_has_to_be_on_disk_refuses_stdout(run, command: tuple[str, ...]) -> None:
    outcome = run(*command)
    assert outcome.code == 2
    assert "is -, which means stdout, but this output must be on disk" in outcome.err


EMPTY = [(*command[:-1], "") for command in [*REFUSING, *ARGUMENTS_ON_DISK]]
EMPTY += [(*words, f"{option.opts[0]}=") for words, option in OPTIONS if "stdout" not in option.help]


@pytest.mark.parametrize("command", sorted(EMPTY), ids=" ".join)
def test_an_empty_path_is_not_the_current_folder(run, command: tuple[str, ...]) -> None:
    outcome = run(*command)
    assert outcome.code == 2
    assert "is empty; give a path, such as . for this folder" in outcome.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize("place", ["-", ""])
def test_a_cache_is_a_folder_with_a_name(run, place: str) -> None:
    assert run("data", "fetch", "imdb", "--cache", place).code == 2
    assert not list(Path().iterdir())


def test_a_vocabulary_goes_to_stdout_though_a_folder_is_called_so(tmp_path, monkeypatch, capfdbinary) -> None:
    monkeypatch.chdir(tmp_path)
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    Path("-").mkdir()
    monkeypatch.setattr("sys.argv", ["bytemill", "tokenizer", "train", "book.txt", "--vocab-size", "260", "-o", "-"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    assert len(json.loads(capfdbinary.readouterr().out)["model"]["vocab"]) == 260
    assert not list(Path("-").iterdir())


@pytest.mark.parametrize("place", ["file/below", "file"])
def test_a_file_where_a_folder_has_to_be_is_called_so(run, tokenizer, place: str) -> None:
    Path("file").write_text("mine", encoding="utf-8")
    Path("book.txt").write_text(TEXT, encoding="utf-8")
    outcome = run("data", "prepare", "book.txt", "-t", "t.json", "-o", place)
    assert outcome.code == 1
    assert outcome.err.startswith("bytemill: file")
    assert "is there and is not a folder" in outcome.err or "Not a directory" in outcome.err
    assert Path("file").read_text(encoding="utf-8") == "mine"


def test_a_dot_is_the_current_folder_where_another_argument_is_empty(run) -> None:
    assert "is empty" not in run("generate", "-m", "m", "-t", "t", "", "-o", ".").err


IN_CHECKPOINT = [
    ("model", "export", "runs/a", "checkpoint"),
    ("model", "import", "m.safetensors", "checkpoint"),
    ("model", "merge", "runs/b", "checkpoint"),
    ("train", "--resume", "-o", "checkpoint"),
    ("report", "runs/a", "-o", "checkpoint/config.json"),
    ("generate", "-m", "m", "-t", "t", "--rows", "r.json", "-o", "link/model.safetensors"),
]


@pytest.mark.parametrize("command", IN_CHECKPOINT, ids=" ".join)
def test_nothing_is_written_into_a_checkpoint(run, command: tuple[str, ...]) -> None:
    names = ("config.json", "model.safetensors", "optimizer.safetensors", "state.json")
    Path("checkpoint").mkdir()
    for name in names:
        Path("checkpoint", name).write_text(name, encoding="utf-8")
    Path("link").symlink_to("checkpoint")
    outcome = run(*command)
    assert outcome.code == 2
    assert "is a checkpoint, which writing would damage" in outcome.err
    assert {path.name: path.read_text() for path in Path("checkpoint").iterdir()} == {name: name for name in names}


def test_ids_go_to_stdout_as_they_would_to_a_file(run, tokenizer) -> None:
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    encode = ("tokenizer", "encode", "-t", "t.json", "a.txt", "a.txt", "--end-token", "<|endoftext|>", "--out")
    assert run(*encode, "a.bin").code == 0
    piped = run(*encode, "-")
    assert (piped.code, piped.out, piped.err) == (0, Path("a.bin").read_bytes(), "")
    one = [*tokenizer.encode(TEXT), tokenizer.eot_token]
    assert np.frombuffer(piped.out, "<u2").tolist() == one * 2
    cut = run(*encode, "-", "--max-tokens", 1)
    assert np.frombuffer(cut.out, "<u2").tolist() == [one[0], one[-1]] * 2


def test_raw_ids_do_not_go_to_a_terminal(run, tokenizer, monkeypatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    shown = io.BytesIO()
    monkeypatch.setattr(output_paths.sys, "stdout", Terminal(shown, encoding="utf-8"))
    outcome = run("tokenizer", "encode", "-t", "t.json", "--text", TEXT, "--out", "-")
    assert (outcome.code, shown.getvalue()) == (2, b"")
    assert "stdout is a terminal" in outcome.err


def test_text_goes_to_stdout_as_without_a_file(run, tokenizer) -> None:
    decode = ("tokenizer", "decode", "-t", "t.json", "--ids", " ".join(map(str, tokenizer.encode(TEXT))))
    assert run(*decode, "--out", "-").out == run(*decode).out == TEXT.encode()


def test_a_report_goes_to_stdout(run) -> None:
    Path("a").mkdir()
    Path("a/config.toml").write_text("", encoding="utf-8")
    Path("a/metrics.jsonl").write_text('{"step": 1, "loss": 2.5}\n', encoding="utf-8")
    assert run("report", "a", "-o", "page.html").code == 0
    outcome = run("report", "a", "-o", "-")
    assert (outcome.code, outcome.out) == (0, Path("page.html").read_bytes())
