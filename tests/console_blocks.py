"""Runs the checked console blocks of a page and returns their output.

A block that begins with ```` ```console checked ```` contains commands after `$ `, each followed by its output (stdout
and stderr as in a terminal). In ```` ```console checked but for numbers ```` numbers may differ, and times and sizes
may have other units, because losses and speeds differ between machines. A last line `[1]` is a nonzero exit code.

The commands of a page run in order in one folder, so later ones can use files of earlier ones; `|`, `<`, `>`, `*` and
`#` work as in a shell. The folder has this repository's LICENSE and examples/, and the content of blocks such as
```` ```toml small.toml ```` as a file of that name. If a page links to the small model of docs/first-hour.md, the
commands that make this model run first.

`python tests/console_blocks.py PAGE…` writes the current output into the pages.
"""

from __future__ import annotations

import io
import math
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[1]
SETUP_PAGE = REPOSITORY / "docs" / "first-hour.md"
SETUP_LINK = "](first-hour.md#small-model-for-the-examples)"
BLOCK = re.compile(r"^```console checked( but for numbers)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
ANY_BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)\n", re.MULTILINE)
NUMBER = re.compile(r" *-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
TIME_OR_SIZE = re.compile(r"0 (?:s|min 0 s|h 0 min|bytes|kB|MB|GB)\b")
TOOLS = ("cat", "cmp", "gzip", "head", "ls", "mkdir", "printf", "sed")


@dataclass(frozen=True)
class Step:
    """One command of a page and its output on the page."""

    command: str
    printed: str
    with_numbers: bool = True

    def shown_rightly(self, printed: str) -> bool:
        """Return whether the page shows this output."""
        return self._compared(printed) == self._compared(self.printed or "\n")

    def _compared(self, text: str) -> str:
        return text if self.with_numbers else TIME_OR_SIZE.sub("0 unit", NUMBER.sub(" 0", text))


def steps(page: str) -> list[Step]:
    """Return all commands of the checked blocks, in order."""
    return [step for exception, block in BLOCK.findall(page) for step in _steps(block, with_numbers=not exception)]


def unchecked_outputs(page: str) -> list[Step]:
    """Return the commands with an output in blocks that are not checked."""
    blocks = [block for kind, block in ANY_BLOCK.findall(page) if not kind.startswith("console checked")]
    return [step for block in blocks for step in _steps(block) if step.printed.strip()]


def shared_data() -> Path:
    """Return the folder of the shared data sets, which may not exist."""
    return Path(os.environ.get("BYTEMILL_SHARED_DATA", REPOSITORY.parent / "shared" / "data"))


def prepared(folder: Path, page: str) -> Path:
    """Fill the folder with the files that the page uses: LICENSE, examples, and files defined on the page."""
    shutil.copy(REPOSITORY / "LICENSE", folder / "LICENSE")
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    for kind, content in ANY_BLOCK.findall(page):
        language, _, name = kind.partition(" ")
        if name.endswith(f".{language}"):
            (folder / name).write_text(content, encoding="utf-8")
    if SETUP_LINK in page:
        for step in steps(SETUP_PAGE.read_text(encoding="utf-8")):
            run(step, folder)
    return folder


def run(step: Step, folder: Path) -> str:
    """Return the output of the command, with its exit code on a last line if it is not 0."""
    seen = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    before = Path.cwd()
    os.chdir(folder)
    try:
        with _plain_terminal(), mock.patch("sys.stderr", seen), _without_hurry():
            code = _pipeline(_words(step.command), seen)
    finally:
        os.chdir(before)
    text = _content(seen).decode().replace("\N{NO-BREAK SPACE}", " ")
    printed = "\n".join(line.rstrip() for line in text.splitlines())
    return "\n".join(filter(None, [printed, f"[{code}]" if code else ""])) + "\n"


def call_bytemill(arguments: list[str]) -> int:
    """Run the command line in this process and return its exit code."""
    from bytemill.cli import main

    with mock.patch("sys.argv", ["bytemill", *arguments]):
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0


def _words(command: str) -> list[str]:
    """Return the words of a command line, including `|`, `<` and `>`, without comments and line ends."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars="|<>")
    lexer.whitespace_split = True
    words = [word.replace("../shared/data", str(shared_data())) for word in lexer]
    return [found for word in words for found in (sorted(map(str, Path().glob(word))) if "*" in word else []) or [word]]


def _pipeline(words: list[str], seen: io.TextIOWrapper) -> int:
    """Run commands joined by `|`; write the output of the last one to `seen`, or to the file after `>`."""
    given, code = b"", 0
    while words:
        end = words.index("|") if "|" in words else len(words)
        command, words = words[:end], words[end + 1 :]
        if "<" in command:
            given = Path(_taken(command, "<")).read_bytes()
        file = _taken(command, ">") if ">" in command else None
        is_seen = file is None and not words
        out = seen if is_seen else io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
        code = _call(command, given, out)
        given = b"" if is_seen else _content(out)
        if file is not None:
            Path(file).write_bytes(given)
    return code


def _taken(command: list[str], sign: str) -> str:
    """Remove a sign and the file name after it from a command, and return the file name."""
    place = command.index(sign)
    _, name = command[place], command[place + 1]
    del command[place : place + 2]
    return name


def _call(command: list[str], given: bytes, out: io.TextIOWrapper) -> int:
    program, *arguments = command
    if program in TOOLS:
        done = subprocess.run(command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        out.buffer.write(done.stdout)
        return done.returncode
    assert program in ("bytemill", "python"), f"{program} cannot be run; a checked block may use bytemill and python"
    stdin = io.TextIOWrapper(io.BytesIO(given), encoding="utf-8")
    with mock.patch("sys.stdin", stdin), mock.patch("sys.stdout", out):
        if program == "bytemill":
            return call_bytemill(arguments)
        script = str(REPOSITORY / arguments[0])
        with mock.patch("sys.argv", [script, *arguments[1:]]):
            runpy.run_path(script, run_name="__main__")
    return 0


def _plain_terminal() -> mock._patch_dict:
    """Set environment variables so that tables have a fixed width, output has no colours, and `ls` sorts by bytes."""
    others = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return mock.patch.dict(os.environ, others | {"COLUMNS": "100", "LC_ALL": "C"}, clear=True)


def _without_hurry() -> mock._patch[float]:
    """Turn off progress lines that depend on time, because only slow machines would print them."""
    return mock.patch("bytemill.train.run.progress._SECONDS_BETWEEN_LINES", math.inf)


def _content(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    content: bytes = stream.buffer.getvalue()  # type: ignore[attr-defined]
    return content


def _steps(block: str, *, with_numbers: bool = True) -> Iterator[Step]:
    found = list(COMMAND.finditer(block))
    ends = [match.start() for match in found[1:]] + [len(block)] * bool(found)
    for match, end in zip(found, ends, strict=True):
        yield Step(match[1], block[match.end() : end], with_numbers)


def _rewritten(page: str, folder: Path) -> str:
    def block(match: re.Match[str]) -> str:
        found = _steps(match[2], with_numbers=not match[1])
        inner = "".join(f"$ {step.command}\n{_printed(step, folder)}" for step in found)
        return f"```console checked{match[1] or ''}\n{inner}```"

    return BLOCK.sub(block, page)


def _printed(step: Step, folder: Path) -> str:
    """What a page is to show: what it shows already, where that is right."""
    printed = run(step, folder)
    return step.printed if step.shown_rightly(printed) else printed.removeprefix("\n")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as made:
            text = Path(name).read_text(encoding="utf-8")
            text = _rewritten(text, prepared(Path(made), text))
        Path(name).write_text(text, encoding="utf-8")
