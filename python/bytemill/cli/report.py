"""`bytemill report`: write one page about several runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.output_paths import STDOUT, Private
from bytemill.cli.several_models import named


def report(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folders of runs to compare. NAME=RUN gives a run a name."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="HTML file to write; - is stdout. Default: report.html in the first run's folder."
        ),
    ] = None,
    x: Annotated[str, typer.Option("--x", help="Horizontal axis of the curves: steps, tokens or epochs.")] = "steps",
    is_private: Private = False,
) -> None:
    """Write one self-contained HTML page that compares any number of runs.

    Example: bytemill report runs/a runs/b -o comparison.html

    Example: bytemill report adamw=runs/a muon=runs/b -o comparison.html
    """
    from bytemill.report.page import write_page
    from bytemill.report.run import run_page

    folders = named(runs)
    page = run_page(folders, is_private=is_private, x=x)
    if output == STDOUT:
        sys.stdout.write(page.html())
        return
    output = output or Path(next(iter(folders.values()))) / "report.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    print(write_page(page, output))
