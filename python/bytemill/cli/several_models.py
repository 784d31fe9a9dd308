"""Shared parts of commands with several models and files of rows: options, names and pages."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import say
from bytemill.cli.output_paths import on_disk
from bytemill.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bytemill.report.page import Page as HtmlPage
    from bytemill.tasks.usable_model import UsableModel

__all__ = [
    "AskedBy",
    "Model",
    "Models",
    "OwnTokenizer",
    "Page",
    "Split",
    "SplitSeed",
    "named",
    "open_for_use",
    "part_of",
    "show",
    "split_of",
]

MODEL_HELP = "Model: a run (RUN, RUN@best or RUN@STEP), a checkpoint, Hugging Face weights, or a hub id."
Model = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)]
Models = Annotated[
    list[str],
    typer.Option(
        "--model",
        "-m",
        help=f"{MODEL_HELP} NAME=MODEL gives it a name for the tables. Repeat the option for several models.",
    ),
]
OwnTokenizer = Annotated[
    Path | None,
    typer.Option("--tokenizer", "-t", help="Tokenizer file or folder. Default: the model's own.", show_default=False),
]
AskedBy = Annotated[
    Literal["alpaca", "alpaca_one_header", "chatml", "chatml_text"] | None,
    typer.Option(
        "--template",
        help="Prompt template. Default: the one that the model was tuned with, else alpaca.",
        show_default=False,
    ),
]
Page = Annotated[Path | None, typer.Option(help="Also write an HTML page to this file.", callback=on_disk)]
Split = Annotated[
    Literal["all", "train", "test", "val"],
    typer.Option(help="Part of the rows to use: training, test or validation rows of the model's run, or all rows."),
]
SplitSeed = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="Random seed that splits the rows into the parts of --split. Default: the one of the model's run, else 0.",
        show_default=False,
    ),
]


def named(places: "Sequence[str]") -> dict[str, str]:
    """Return each place by name: the one given as NAME=PLACE, its last part, or the whole place if names repeat.

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


def open_for_use(model: str, tokenizer: Path | None = None, template: str | None = None) -> "UsableModel":
    """Load a model with its tokenizer and template; given replacements are used and reported on stderr."""
    from bytemill.tasks.usable_model import open_model

    return open_model(model, tokenizer=tokenizer, template=template, say=say)  # type: ignore[arg-type]


def split_of(models: "Iterable[str]", seed: int | None) -> "tuple[tuple[float, float, float], int]":
    """Return the shares and seed of the row split of the first of these models that was tuned on rows."""
    from bytemill.tasks.model_place import find_model
    from bytemill.tasks.row_parts import SHARES, shares_of

    for model in models:
        settings = find_model(model).settings
        if settings is not None and settings.task in ("lm", "instruct", "chat", "preference"):
            return shares_of(settings), settings.data.seed if seed is None else seed
    return SHARES, seed or 0


def part_of(rows: Path, split: str, models: "Iterable[str]", seed: int | None) -> list[dict[str, Any]]:
    """Return the rows of a file, or the part that the models were trained, tested or validated on."""
    from bytemill.data.rows import read_rows, split_rows

    read = read_rows(rows, ("instruction",))
    for number, row in enumerate(read, start=1):
        if not isinstance(row.get("instruction"), str) or not isinstance(row.get("input") or "", str):
            raise DataError(f"{rows}: row {number}: 'instruction' is missing or not text, or 'input' is not text")
    part: Sequence[Any] = read
    if split != "all":
        shares, seed = split_of(models, seed)
        part = split_rows(read, shares, seed=seed)[("train", "test", "val").index(split)]
    if not part:
        raise DataError(f"{rows}: {len(read)} rows are too few for a {split} part")
    return list(part)


def show(page: "HtmlPage", path: Path) -> None:
    """Write a page and print its path."""
    from bytemill.report.page import write_page

    path.parent.mkdir(parents=True, exist_ok=True)
    say(str(write_page(page, path)))
