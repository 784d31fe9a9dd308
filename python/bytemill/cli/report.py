"""`bytemill report`: runs as one page."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.written import STDOUT, Private


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, laid over each other.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Default: report.html in the first run; - is stdout.")
    ] = None,
    x: Annotated[str, typer.Option("--x", help="What curves are drawn over: steps, tokens or epochs.")] = "steps",
    is_private: Private = False,
) -> None:
    """Write one self-contained HTML page for any set of runs.

    Example: bytemill report runs/a runs/b -o comparison.html
    """
    from bytemill.report.page import write_page
    from bytemill.report.run import run_page

    page = run_page(runs, is_private=is_private, x=x)
    if output == STDOUT:
        sys.stdout.write(page.html())
        return
    output = output or runs[0] / "report.html"
    output.parent.mkdir(parents=True, exist_ok=True)
    print(write_page(page, output))
