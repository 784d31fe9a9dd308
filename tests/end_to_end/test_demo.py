"""`bytemill demo --fast`: the whole pipeline, from text to a page, as a newcomer runs it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.data import verify


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "run"
    command = [sys.executable, "-m", "bytemill", "demo", "--fast", "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "report.html")
    (folder / "stderr.txt").write_text(done.stderr)
    return folder


def test_the_folder_is_a_working_model(folder: Path, tmp_path: Path) -> None:
    """Its tuned model could not be loaded: the checkpoint's config.json was empty."""
    said = call("chat", "-m", folder / "tune", "--temperature", "0", stdin="What does `print` do?\n")
    assert len(said) > 1
    assert call("generate", "-m", folder / "pretrain", "def", "--max-new-tokens", "4").startswith("def")
    assert "template: alpaca" in call("model", "info", folder / "tune")
    call("model", "export", folder / "tune", tmp_path / "mine")
    again = call("chat", "-m", tmp_path / "mine", "--temperature", "0", stdin="What does `print` do?\n")
    assert again == said
    assert call("chat", "-m", folder / "model", "--temperature", "0", "--max-new-tokens", "4", stdin="Hi\n")


def call(*words: object, stdin: str | None = None) -> str:
    """What a command prints on stdout."""
    command = [sys.executable, "-m", "bytemill", *map(str, words)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_one_file(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page) < 3_000_000
    assert not re.search(r"""(?:src|href)=["']?https?:""", page)


def test_every_step_says_what_it_does_and_how_long(folder: Path) -> None:
    said = (folder / "stderr.txt").read_text()
    for step in (
        "Measure this machine",
        "Collect text",
        "Train a tokenizer",
        "Prepare shards",
        "Pretrain GPT-2",
        "Sample",
        "Tune with LoRA",
    ):
        assert re.search(rf"^{step}: .+ \(about \d+ s\)$", said, re.MULTILINE), said


def test_tuning_lowers_the_loss_on_held_out_questions(folder: Path) -> None:
    said = (folder / "stderr.txt").read_text()
    found = re.search(r"held-out questions ([\d.]+) before, ([\d.]+) after", said)
    assert found, said
    assert float(found[2]) < float(found[1])


def test_a_sample_shows_what_the_model_writes_as_it_learns(folder: Path) -> None:
    said = (folder / "stderr.txt").read_text()
    samples = re.findall(r"^ +(\d+) s, validation loss ([\d.]+): This module provides", said, re.MULTILINE)
    assert len(samples) >= 2, said  # a busy machine has time for few
    assert float(samples[-1][1]) < float(samples[0][1])


def test_it_ends_with_what_to_do_next_and_a_verdict(folder: Path) -> None:
    said = (folder / "stderr.txt").read_text().splitlines()
    assert said[-3:] == [
        f"Talk to it:  bytemill chat -m {folder / 'tune'}",
        f"Look at it:  open {folder / 'report.html'} in a browser",
        "What next:   docs/first-hour.md, with your own text",
    ]
    ratio = float(re.search(r"([\d.]+) of the [\d.]+ that token frequencies give", "\n".join(said))[1])
    missed = any(line.startswith("The model did not learn enough: ") for line in said)
    assert missed or ratio <= 0.8


def test_what_it_leaves_can_be_used(folder: Path) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode("def spam():")) == "def spam():"
    verify(folder / "shards")
    assert (folder / "adapter" / "adapter_model.safetensors").exists()
    assert (folder / "model" / "model.safetensors").exists()


def test_a_second_demo_replaces_the_first_but_nothing_else(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not a demo's")
    command = [sys.executable, "-m", "bytemill", "demo", "--fast", "--output", str(tmp_path)]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "contains no earlier demo" in refused.stderr
    assert (tmp_path / "mine.txt").exists()
