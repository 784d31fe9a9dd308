"""Runs the commands of docs/course.md: a table with a requirement, the commands that show it, and what they end with.

A row is `| what | commands | last line |`. Commands and the line are in backticks; the line is the last one of the last
command, names of written files left out; its numbers may be others, as in blocks that are "checked but for numbers".
A row whose third cell has no backticks is not run: the cell says how it was tested.

`python tests/course_table.py docs/course.md` writes what is printed now into the page.
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
    """None where the commands are not run."""

    def printed(self, folder: Path) -> str:
        """Run the commands; return the last line that the last one prints."""
        line = ""
        for command in self.commands:
            text = console_blocks.run(console_blocks.Step(command, ""), folder)
            lines = [line for line in text.splitlines() if line.strip()]
            line = next((line for line in reversed(lines) if not _is_a_name(line, command)), lines[-1] if lines else "")
        return line.strip()

    def shown_rightly(self, line: str) -> bool:
        """Whether the page shows this line, numbers aside."""
        step = console_blocks.Step(self.commands[-1], f"{self.last_line}\n", with_numbers=False)
        return step.shown_rightly(f"{line}\n")

    def needs_shared_data(self) -> bool:
        """Whether a command reads the shared data sets."""
        return any("../shared/data" in command for command in self.commands)


def requirements(page: str) -> list[Requirement]:
    """Return the rows of all tables of the page."""
    return [_requirement(match) for match in ROW.finditer(page)]


def _requirement(match: re.Match[str]) -> Requirement:
    commands = CODE.findall(match["commands"].replace(r"\|", "|"))
    shown = CODE.fullmatch(match["end"].strip().replace(r"\|", "|"))
    return Requirement(match["what"].strip(), tuple(commands), shown[1].strip() if shown else None)


def _is_a_name(line: str, command: str) -> bool:
    """Whether a line is only the name of what was written."""
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
