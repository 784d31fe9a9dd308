"""The ready settings are settings, and say what the issue and the reports say."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from bytemill.cli import app
from bytemill.experiment.sweep.plan import read_sweep
from bytemill.model import GPT2Config
from bytemill.train.config import load_config, read_toml
from bytemill.train.plan import resolve_micro_batches
from bytemill.train.schedule import learning_rate_at

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"


SWEEPS = sorted(CONFIGS.glob("sweep_*.toml"))
RUNS = sorted({*CONFIGS.glob("*.toml")} - {*SWEEPS})


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweeps_are_read(path):
    assert len(read_sweep(path)) > 2


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_settings_are_read(path):
    config = load_config(path)
    shape = {"vocab_size": 257, **config.model}
    name = shape.pop("name", None)
    if name is None:
        GPT2Config(**shape)
    assert config.train.max_steps >= config.train.warmup_steps
    given = read_toml(path)["train"]
    assert {name: value for name, value in config.train.model_dump(mode="json").items() if name in given} == given
    assert config.train.min_learning_rate <= config.train.learning_rate / 10 * (1 + 1e-9)


COMMANDS = [
    line.removeprefix("#").strip().split("   ")[0]
    for path in sorted(CONFIGS.glob("*.toml"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("#   ")
]


def called(line: str) -> list[list[str]]:
    """The calls of bytemill in a line of a shell, those in $(…) first."""
    inner = re.findall(r"\$\((.*?)\)", line)
    calls = [*inner, re.sub(r'"?\$\(.*?\)"?', "GIVEN", line)]
    return [words[words.index("bytemill") + 1 :] for words in map(shlex.split, calls) if "bytemill" in words]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_a_setting_was_refused(line):
    """Each command's options are those of `bytemill`; whether it then works is for other tests."""
    for words in called(line):
        command = typer.main.get_command(app)
        context = command.make_context("bytemill", words[:1], resilient_parsing=True)
        while hasattr(command, "get_command"):
            name, *words = words
            command = command.get_command(context, name)
            assert command is not None, line
        command.make_context(name, words)  # raises what misuse raises


def test_gpt2_on_fineweb_has_the_reports_batch_and_schedule():
    config = resolve_micro_batches(load_config(CONFIGS / "gpt2-124m-fineweb.toml"))
    assert config.train.micro_batches * config.data.batch_size * config.data.seq_len == 2**19
    assert learning_rate_at(714, config.train) == pytest.approx(6e-4)
    assert learning_rate_at(19_073, config.train) == pytest.approx(6e-5)
