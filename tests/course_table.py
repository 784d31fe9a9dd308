"""Runs the commands of docs/course.md, a table of requirements with commands and the last line of their output.

A row is `| what | commands | last line |`. Commands and the line are in backticks. The line is the last output line of
the last command, without names of written files; its numbers may differ, as in blocks that are "checked but for
numbers". A row whose third cell has no backticks is not run; the cell says how it was tested.

`python tests/course_table.py docs/course.md` writes the current output into the page.
"""

from __future__ import annotations

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import console_blocks

ROW = re.compile(r"^\| (?P<what>[^|]+) \| (?P<commands>`.+?`) \| (?P<end>(?:[^|\n]|\\\|)+) \|$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Requirement:
    """One row of the table."""

    what: str
    commands: tuple[str, ...]
    last_line: str | None
    """None if the commands are not run."""

    def printed(self, folder: Path) -> str:
        """Run the commands; return the last output line of the last one."""
        line = ""
        for command in self.commands:
            text = console_blocks.run(console_blocks.Step(command, ""), folder)
            lines = [line for line in text.splitlines() if line.strip()]
            line = next((line for line in reversed(lines) if not _is_a_name(line, command)), lines[-1] if lines else "")
        return line.strip()

    def shown_rightly(self, line: str) -> bool:
        """Return whether the page shows this line, ignoring numbers."""
        step = console_blocks.Step(self.commands[-1], f"{self.last_line}\n", with_numbers=False)
        return step.shown_rightly(f"{line}\n")

    def needs_shared_data(self) -> bool:
        """Return whether a command reads the shared data sets."""
        return any("../shared/data" in command for command in self.commands)


def requirements(page: str) -> list[Requirement]:
    """Return the rows of all tables of the page."""
    return [_requirement(match) for match in ROW.finditer(page)]


def _requirement(match: re.Match[str]) -> Requirement:
    commands = CODE.findall(match["commands"].replace(r"\|", "|"))
    shown = CODE.fullmatch(match["end"].strip().replace(r"\|", "|"))
    return Requirement(match["what"].strip(), tuple(commands), shown[1].strip() if shown else None)


def _is_a_name(line: str, command: str) -> bool:
    """Return whether a line is only the name of a written file."""
    return " " not in line and ("/" in line or line in command.split())


def _filled(page: str, folder: Path) -> str:
    def row(match: re.Match[str]) -> str:
        one = _requirement(match)
        if one.last_line is None:
            return match[0]
        line = one.printed(folder)
        shown = one.last_line if one.shown_rightly(line) else line
        cell = shown.replace("|", r"\|").replace("`", "'")
        return f"| {match['what']} | {match['commands']} | `{cell}` |"

    for step in console_blocks.steps(page):
        console_blocks.run(step, folder)
    return ROW.sub(row, page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as made:
            text = Path(name).read_text(encoding="utf-8")
            text = _filled(text, console_blocks.prepared(Path(made), text))
        Path(name).write_text(text, encoding="utf-8")
