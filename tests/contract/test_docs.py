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

PAGES = sorted(
    [*console_blocks.REPOSITORY.glob("docs/**/*.md"), *console_blocks.REPOSITORY.glob("examples/*/README.md")]
)
DOCS = [page for page in PAGES if page.is_relative_to(console_blocks.REPOSITORY / "docs")]
SHOWN_UNCHECKED = {"doctor.md": {"bytemill doctor"}}
"""Outputs that are another machine's business."""
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
    assert any(name in page.read_text(encoding="utf-8") for page in DOCS), f"no page of docs/ speaks of {name}"


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


@pytest.mark.usefixtures("users_packages")
@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: str(page.relative_to(console_blocks.REPOSITORY)))
def test_checked_blocks_print_what_they_show(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = console_blocks.steps(text)
    if any("../shared/data" in step.command for step in found) and not console_blocks.shared_data().is_dir():
        pytest.skip("the shared data sets are not on this machine")
    folder = console_blocks.prepared(tmp_path, text)
    for step in found:
        printed = console_blocks.run(step, folder)
        assert step.shown_rightly(printed), f"$ {step.command}\n{printed}"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(console_blocks.REPOSITORY)))
def test_no_output_is_shown_unchecked(page: Path) -> None:
    """`python tests/console_blocks.py PAGE` fills a block that begins with ```console checked."""
    shown = {step.command for step in console_blocks.unchecked_outputs(page.read_text(encoding="utf-8"))}
    assert shown == SHOWN_UNCHECKED.get(page.name, set())


def test_some_pages_are_checked() -> None:
    assert {page.name for page in WITH_BLOCKS} >= {"tokenizers.md", "README.md"}


def test_a_page_that_links_to_the_small_model_starts_from_it(tmp_path: Path) -> None:
    folder = console_blocks.prepared(tmp_path, f"The examples start from [it{console_blocks.SETUP_LINK}.\n")
    assert {path.name for path in folder.iterdir()} >= {"tokenizer.json", "shards", "instructions.json", "runs"}
    assert (folder / "runs" / "first" / "config.toml").is_file()


def test_numbers_aside_all_else_is_compared() -> None:
    page = "```console checked but for numbers\n$ bytemill x\nstep 10: loss 6.25,  -0.5 s\n```\n"
    (step,) = console_blocks.steps(page)
    assert step.shown_rightly("step 9: loss 11.0, 3e-05 s\n")
    assert not step.shown_rightly("step 9: loss nan, 3e-05 s\n")
    assert step.shown_rightly("step 9: loss 11.0, 1 min 3 s\n")
    assert not step.shown_rightly("step 9: loss 11.0, 3e-05 MiB\n")
    (exact,) = console_blocks.steps(page.replace(" but for numbers", ""))
    assert exact.shown_rightly(step.printed)
    assert not exact.shown_rightly("step 9: loss 11.0, 3e-05 s\n")
