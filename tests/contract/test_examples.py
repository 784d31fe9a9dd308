"""The examples' scripts say what the commands understand; `make test-long` runs them as well, a few steps of each."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

import console_blocks
from bytemill.cli import app

EXAMPLES = console_blocks.REPOSITORY / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*/*.sh"))
NOTE_DOWN = """#!{python}
import json, os, sys
with open(os.environ["NOTED"], "a") as noted:
    print(json.dumps(sys.argv[1:]), file=noted)
"""


def run(script: Path, folder: Path, programs: dict[str, str], *settings: str) -> None:
    """Run a script in a folder, with these programs found before all others."""
    found_first = folder / "bin"
    found_first.mkdir()
    for name, text in programs.items():
        (found_first / name).write_text(text)
        (found_first / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{found_first}:{os.environ['PATH']}", "NOTED": str(folder / "noted")}
    data = str(console_blocks.shared_data())
    command = ["sh", str(script), data, str(folder / "out"), *settings]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]


def parsed(arguments: list[str]) -> None:
    """Let the command line read the arguments, and do nothing."""
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[arguments.pop(0)]
    command.make_context(command.name, arguments)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.parent.name)
def test_the_commands_of_an_example_are_understood(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(script, tmp_path, {"bytemill": NOTE_DOWN.format(python=sys.executable), "python": "#!/bin/sh\n"})
    commands = [json.loads(line) for line in (tmp_path / "noted").read_text().splitlines()]
    for arguments in commands:
        parsed(arguments.copy())
        checked = {"train": "--print-config", "finetune": "--print-config", "sweep": "--dry-run"}.get(arguments[0])
        if checked:
            assert console_blocks.call_bytemill([*arguments, checked]) == 0, (arguments, capsys.readouterr().err)
    assert any(arguments[0] == "report" for arguments in commands) or "sweep" in str(commands)


@pytest.mark.long
def test_the_examples_run(tmp_path: Path) -> None:
    """One after the other in one folder, as the second and third tune what the first has made."""
    if not console_blocks.shared_data().is_dir():
        pytest.skip("the shared data sets are not on this machine")
    python = f'#!/bin/sh\nexec "{sys.executable}"'
    programs = {"python": f'{python} "$@"\n', "bytemill": f'{python} -m bytemill "$@"\n'}
    for script in SCRIPTS:
        run(script, tmp_path, programs, "train.max_steps=3", "train.warmup_steps=0")
        shutil.rmtree(tmp_path / "bin")
    assert (tmp_path / "out" / "tuning.html").exists()
