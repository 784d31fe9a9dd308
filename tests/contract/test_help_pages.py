"""Help pages: commands by stage, usual settings with their real defaults, readable at 80 columns."""

import os
import re
import subprocess
import sys

import pytest
import typer.main

from bytemill.cli import app, main
from bytemill.cli.help_pages import _STAGES
from bytemill.tasks.base_settings import model_shape
from bytemill.train.config import load_config

GROUP = typer.main.get_command(app)
TASKS = {
    "train": "pretrain",
    "finetune lm": "lm",
    "finetune instruct": "instruct",
    "finetune chat": "chat",
    "finetune classify": "classify",
    "finetune preference": "preference",
}
OF_ALL = {"--steps", "--epochs", "--learning-rate", "--batch-size", "--seq-len", "--seed"}
OF_PRETRAINING = {"--layers", "--heads", "--width"}
FIELD = {
    "--learning-rate": ("train", "learning_rate"),
    "--batch-size": ("data", "batch_size"),
    "--seq-len": ("data", "seq_len"),
    "--seed": ("train", "seed"),
    "--lora-rank": ("lora", "r"),
}


def shown(*words, columns=80):
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "bytemill", *words, "--help"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def panels(page):
    """The text of each panel by its title, without line breaks."""
    found, title = {}, None
    for line in page.splitlines():
        if top := re.match(r"╭─ (.+?) ─", line):
            title = top[1]
            found[title] = ""
        elif title is not None and line.startswith("│"):
            found[title] += " " + " ".join(line.strip("│").split())
    return found


def options_of(panel):
    """Each option with its text."""
    parts = re.split(r" (?=--[a-z-]+ (?:-\w )?(?:<|A\.B))", panel)
    return {part.split()[0]: part for part in parts if part.startswith("--")}


def test_every_command_has_a_stage_and_the_stages_come_in_order():
    listed = [name for names in _STAGES.values() for name in names]
    assert sorted(listed) == sorted(GROUP.commands)
    page = panels(shown())
    assert [title for title in page if title in _STAGES] == list(_STAGES)
    assert re.search(r"^ ?finetune .* sweep ", page["Tune"])


@pytest.mark.parametrize(("command", "task"), TASKS.items())
def test_usual_settings_show_their_real_defaults(command, task):
    page = panels(shown(*command.split(), columns=200))
    options = options_of(page["Usual settings"])
    assert options.keys() >= OF_ALL
    assert (options.keys() >= OF_PRETRAINING) == (command == "train")
    assert ("--lora-rank" in options) == (command != "train")
    config = load_config(None, [f"task={task}"])
    for option, (section, name) in FIELD.items():
        if option in options:
            number = re.search(r"Default: ([\d.e-]+?)[.,](?: |$)", options[option])[1]
            assert float(number) == getattr(getattr(config, section), name), option
    if command == "train":
        assert f"Default: {config.train.max_steps}." in options["--steps"]
        assert "Default: not set; --steps sets the length." in options["--epochs"]
        for option, name in (("--layers", "n_layer"), ("--heads", "n_head"), ("--width", "n_embd")):
            assert f"Default: {getattr(model_shape(config), name)}." in options[option]
    else:
        assert f"Default: {config.train.epochs:g}." in options["--epochs"]
        assert "Default: not set; --epochs sets the length." in options["--steps"]
    assert all(option in page["All settings"] for option in ("--config -c ", "--set A.B=C ", "--print-config "))


def test_a_default_that_lora_changes_is_shown_with_both_values():
    line = options_of(panels(shown("finetune", "lm", columns=200))["Usual settings"])["--learning-rate"]
    assert load_config(None, ["task=lm", "lora.r=0"]).train.learning_rate == 5e-5
    assert "Default: 2e-4, or 5e-5 with --lora-rank 0." in line


def all_commands(group, words=()):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, (*words, name))
        else:
            yield (*words, name), command


@pytest.mark.parametrize(
    ("words", "command"), list(all_commands(GROUP)), ids=lambda one: "-".join(one) if isinstance(one, tuple) else ""
)
def test_paragraphs_have_no_line_breaks_of_their_own(words, command):
    assert not [paragraph for paragraph in command.help.split("\n\n") if "\n" in paragraph]


def test_brackets_in_a_docstring_are_no_markup():
    assert "bytemill[eval]" in shown("eval", "harness")


@pytest.mark.parametrize("words", [words for words, _ in all_commands(GROUP)], ids=" ".join)
def test_help_fits_into_80_columns(words, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["bytemill", *words, "--help"])
    with pytest.raises(SystemExit) as stopped:
        main()
    page = capsys.readouterr().out
    assert stopped.value.code in (None, 0)
    assert max(map(len, page.splitlines())) <= 80
    texts = [re.split(r"  +", line.strip("│ "))[-1] for line in page.splitlines() if line.startswith("│")]
    assert max(map(len, texts)) >= 25, "the other columns leave no room for the texts"
