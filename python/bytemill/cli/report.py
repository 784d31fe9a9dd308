"""`bytemill report`: runs as one page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.models import named
from bytemill.cli.written import STDOUT, Private


def report(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Folders of runs to compare: RUN, or NAME=RUN for another name."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the first run; - is stdout.")
    ] = None,
    x: Annotated[str, typer.Option("--x", help="What curves are drawn over: steps, tokens or epochs.")] = "steps",
    is_private: Private = False,
) -> None:
    """Write one self-contained HTML page for any set of runs.

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
