"""The page of the course is true: every requirement has a row, and its commands end with the line that it shows."""

import re
from pathlib import Path

import pytest

import console_blocks
import course_table
import users_packages

TEXT = (console_blocks.REPOSITORY / "docs" / "course.md").read_text(encoding="utf-8")
ROWS = course_table.requirements(TEXT)
ROWS_PER_PART = {
    "Tokenizer": 13,
    "Model": 10,
    "Pretraining": 15,
    "LoRA": 14,
    "Classification, instructions, a judge, preferences": 12,
}


def test_every_requirement_has_a_row() -> None:
    parts = re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
    found = {part.splitlines()[0]: len(course_table.requirements(part)) for part in parts}
    assert {name: found.get(name) for name in ROWS_PER_PART} == ROWS_PER_PART
    assert len(ROWS) == 64
    lines = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    assert len(lines) == 64, "a line of a table is no row that is read"


def test_rows_that_are_not_run_name_the_tests_that_stand_for_them() -> None:
    cells = [match["end"] for match in course_table.ROW.finditer(TEXT)]
    others = [cell for cell in cells if not course_table.CODE.fullmatch(cell.strip())]
    assert 0 < len(others) < 12
    for cell in others:
        named = re.findall(r"\btests/[\w/]+\.py\b", cell)
        assert named, cell
        assert all((console_blocks.REPOSITORY / name).is_file() for name in named), cell


def test_the_commands_end_with_the_lines_that_the_page_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users_packages.hide_others(monkeypatch, "train", "hf")
    folder = console_blocks.prepared(tmp_path, TEXT)
    for step in console_blocks.steps(TEXT):
        assert step.shown_rightly(console_blocks.run(step, folder)), step.command
    has_data = console_blocks.shared_data().is_dir()
    run = [row for row in ROWS if row.last_line is not None and (has_data or not row.needs_shared_data())]
    wrong = {row.commands[-1]: line for row in run if not row.shown_rightly(line := row.printed(folder))}
    assert not wrong


def test_no_command_of_the_page_fails() -> None:
    """A command that fails ends with its exit code in brackets."""
    assert not [row.commands for row in ROWS if re.fullmatch(r"\[\d+\]", row.last_line or "")]


def test_a_wrong_line_is_found(tmp_path: Path) -> None:
    page = "| a file | `printf 7.5` | `8` |\n| a word | `printf a\\|b` | `a\\|c` |\n| later | `printf x` | hours |\n"
    number, word, later = course_table.requirements(page)
    assert (number.last_line, word.last_line, later.last_line) == ("8", "a|c", None)
    assert number.shown_rightly(number.printed(tmp_path))
    assert not word.shown_rightly("a|b")
