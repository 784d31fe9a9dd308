"""Runs the console blocks of a page that are marked as checked, and tells what they print.

A block that begins with ```` ```console checked ```` holds commands after `$ ` and what each prints to stdout. They
run in one folder a page, in order, so a later command finds what an earlier one wrote. A last line `[1]` is the exit
code where it is not 0. `python tests/console_blocks.py PAGE…` writes what is printed now into the pages.
"""

from __future__ import annotations

import io
import os
import re
import runpy
import shlex
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
BLOCK = re.compile(r"^```console checked\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One command of a page and what the page says that it prints."""

    command: str
    printed: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.command.replace("\\\n", " "))


def steps(page: str) -> list[Step]:
    """All commands of the checked blocks, in order."""
    return [step for block in BLOCK.findall(page) for step in _steps(block)]


def shared_data() -> Path:
    """Where the shared data sets are, if they are."""
    return Path(os.environ.get("BYTEMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))


def prepared(folder: Path) -> Path:
    """The folder with what the pages speak of: this repository's licence, as a text that every reader has."""
    shutil.copy(REPOSITORY / "LICENSE", folder / "LICENSE")
    return folder


def run(step: Step, folder: Path) -> str:
    """What the command prints, with its exit code on a last line where it is not 0."""
    program, *arguments = [word.replace("../shared/data", str(shared_data())) for word in step.words]
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    before = Path.cwd()
    with mock.patch("sys.stdout", out):
        os.chdir(folder)
        try:
            code = _call(program, arguments)
        finally:
            os.chdir(before)
    out.flush()
    printed = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
    printed = "\n".join(line.rstrip() for line in printed.splitlines())
    return "\n".join(filter(None, [printed, f"[{code}]" if code else ""])) + "\n"


def call_bytemill(arguments: list[str]) -> int:
    """The exit code of the command line in this process."""
    from bytemill.cli import main

    with mock.patch("sys.argv", ["bytemill", *arguments]):
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0


def _call(program: str, arguments: list[str]) -> int:
    if program == "bytemill":
        return call_bytemill(arguments)
    assert program == "python", f"{program} cannot be run; a checked block may use bytemill and python"
    script = str(REPOSITORY / arguments[0])
    with mock.patch("sys.argv", [script, *arguments[1:]]):
        runpy.run_path(script, run_name="__main__")
    return 0


def _steps(block: str) -> Iterator[Step]:
    found = list(COMMAND.finditer(block))
    ends = [*(match.start() for match in found[1:]), len(block)]
    for match, end in zip(found, ends, strict=True):
        yield Step(match[1], block[match.end() : end])


def _rewritten(page: str, folder: Path) -> str:
    def block(match: re.Match[str]) -> str:
        inner = "".join(f"$ {step.command}\n{run(step, folder)}" for step in _steps(match[1]))
        return f"```console checked\n{inner}```"

    return BLOCK.sub(block, page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as made:
            text = _rewritten(Path(name).read_text(encoding="utf-8"), prepared(Path(made)))
        Path(name).write_text(text, encoding="utf-8")
