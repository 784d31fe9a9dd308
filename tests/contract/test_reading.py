"""docs/reading.md names files and functions that exist, and its solutions run."""

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).parents[2] / "docs" / "reading.md"
TEXT = PAGE.read_text(encoding="utf-8")
# | [name](path) | what to read | what to skip |
ROWS = re.findall(r"^\| \[[^]]+\]\(([^)]+)\) (\|.*)$", TEXT, flags=re.MULTILINE)
CHAPTERS = [part.split("\n", 1) for part in TEXT.split("\n## ") if part[0].isdigit()]
SOLUTIONS = [
    (title, code)
    for title, chapter in CHAPTERS
    for code in re.findall(r"^```python\n(.*?)^```", chapter, flags=re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("path", "cells"), ROWS, ids=[path for path, _ in ROWS])
def test_each_file_has_the_names_to_read_and_to_skip(path: str, cells: str) -> None:
    code = (PAGE.parent / path).read_text(encoding="utf-8")
    missing = [name for name in re.findall(r"`(\w+)`", cells) if not re.search(rf"\b{name}\b", code)]
    assert not missing, f"{path} has no {missing}"


@pytest.mark.parametrize("path", re.findall(r"\]\((\.\./[^)#]+|[^):/#]+)\)", TEXT))
def test_each_link_leads_to_a_file(path: str) -> None:
    assert (PAGE.parent / path).is_file()


@pytest.mark.parametrize(("chapter", "code"), SOLUTIONS, ids=[chapter for chapter, _ in SOLUTIONS])
def test_each_solution_runs(chapter: str, code: str) -> None:
    torch.manual_seed(0)
    exec(compile(code, f"docs/reading.md: {chapter}", "exec"), {})


def test_each_chapter_has_files_and_a_solution() -> None:
    assert [title for title, _ in SOLUTIONS] == [title for title, _ in CHAPTERS]
    assert len(CHAPTERS) == 5
    assert len(ROWS) == len(re.findall(r"^\| \[", TEXT, flags=re.MULTILINE)), "a row of a table with several files"
    assert all(len(re.findall(r"^\| \[", chapter, flags=re.MULTILINE)) >= 3 for _, chapter in CHAPTERS)
