"""The documentation is true: every command is named and has an example, and checked blocks print what they show."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.text import Text

import console_blocks
from bytemill.cli import app

PAGES = sorted([*console_blocks.REPOSITORY.glob("docs/*.md"), *console_blocks.REPOSITORY.glob("examples/*/README.md")])
WITH_BLOCKS = [page for page in PAGES if console_blocks.steps(page.read_text(encoding="utf-8"))]


def commands() -> Iterator[tuple[str, Any]]:
    """Each command of the command line with its full name."""

    def below(group: Any, name: str) -> Iterator[tuple[str, Any]]:
        for word, command in getattr(group, "commands", {}).items():
            full = f"{name} {word}"
            if hasattr(command, "commands"):
                yield from below(command, full)
            else:
                yield full, command

    return below(typer.main.get_command(app), "bytemill")


COMMANDS = dict(commands())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_has_an_example(name: str) -> None:
    assert re.search(rf"Example: .*\b{re.escape(name)}\b", COMMANDS[name].help or ""), "no example of its own"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    docs = (page for page in PAGES if page.parent.name == "docs")
    assert any(name in page.read_text(encoding="utf-8") for page in docs), f"no page of docs/ speaks of {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    silent = [option.name for option in COMMANDS[name].params if not getattr(option, "help", None)]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_no_help_is_taken_for_markup(name: str) -> None:
    """Typer prints help as Rich markup: a word in brackets would be eaten."""
    for option in COMMANDS[name].params:
        shown = Text.from_markup(option.help or "").plain
        assert shown == option.help, f"write \\[ in the help of {option.name}"


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(console_blocks.REPOSITORY)))
def test_checked_blocks_print_what_they_show(page: Path, tmp_path: Path) -> None:
    found = console_blocks.steps(page.read_text(encoding="utf-8"))
    if any("../shared/data" in step.command for step in found) and not console_blocks.shared_data().is_dir():
        pytest.skip("the shared data sets are not on this machine")
    folder = console_blocks.prepared(tmp_path)
    for step in found:
        assert console_blocks.run(step, folder) == (step.printed or "\n"), step.command


def test_some_pages_are_checked() -> None:
    assert {page.name for page in WITH_BLOCKS} >= {"tokenizers.md", "README.md"}
