"""What commands over several models and files of rows share: their options, names, and pages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import say
from bytemill.cli.written import on_disk
from bytemill.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.report.page import Page as HtmlPage

__all__ = ["Models", "Page", "Split", "SplitSeed", "Tokenizers", "named", "part_of", "show"]

Models = Annotated[list[str], typer.Option("--model", "-m", help="A model, or NAME=MODEL; may be given several times.")]
Tokenizers = Annotated[Path, typer.Option("--tokenizer", "-t", help="The models' tokenizer.")]
Page = Annotated[Path | None, typer.Option(help="Write an HTML page here as well.", callback=on_disk)]
Split = Annotated[
    Literal["all", "train", "test", "val"],
    typer.Option(help="A part of the rows, as tuning parts them (85 / 10 / 5) by data.seed."),
]
SplitSeed = Annotated[int, typer.Option(min=0, help="The data.seed that the tuning had, for --split.")]


def named(places: "Sequence[str]") -> dict[str, str]:
    """Each place under a name: the one given as NAME=PLACE, or its last part, or all of it where two would be alike.

    >>> named(["base=runs/a", "runs/b", "hub/b"])
    {'base': 'runs/a', 'runs/b': 'runs/b', 'hub/b': 'hub/b'}
    """
    pairs = []
    for place in places:
        name, equals, rest = place.partition("=")
        is_named = bool(equals and name and rest) and not Path(place).exists()
        pairs.append((name, rest) if is_named else (Path(place).resolve().name, place))
    names = [name for name, _ in pairs]
    found = {place if names.count(name) > 1 else name: place for name, place in pairs}
    if len(found) != len(places):
        raise ArgumentError(f"two of {', '.join(places)} have the same name; give one as NAME=PLACE")
    return found


def part_of(rows: Path, split: str, seed: int) -> list[dict[str, Any]]:
    """The rows of a file, or the part of them that tuning with this `data.seed` trains, tests or validates on."""
    from bytemill.data.rows import read_rows, split_rows

    read = read_rows(rows, ("instruction",))
    for number, row in enumerate(read, start=1):
        if not isinstance(row.get("instruction"), str) or not isinstance(row.get("input") or "", str):
            raise DataError(f"{rows}: row {number} has no text in 'instruction', or an input that is none")
    part = read if split == "all" else split_rows(read, seed=seed)[("train", "test", "val").index(split)]
    if not part:
        raise DataError(f"{rows}: {len(read)} rows are too few to have a {split} part")
    return part


def show(page: "HtmlPage", path: Path) -> None:
    """Write a page, and say where."""
    from bytemill.report.page import write_page

    path.parent.mkdir(parents=True, exist_ok=True)
    say(str(write_page(page, path)))
