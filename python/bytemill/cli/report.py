"""`bytemill report`: join runs, sweeps and pages into one page, as HTML or Markdown."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bytemill.cli.console import say
from bytemill.cli.output_paths import STDOUT, Private, on_disk
from bytemill.cli.several_models import named
from bytemill.errors import ArgumentError
from bytemill.extras import require
from bytemill.files import write_text
from bytemill.places import without_user

if TYPE_CHECKING:
    from bytemill.report.figure_files import WrittenFigures
    from bytemill.report.page import Page


def report(
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE...", help="Folders of runs or sweeps, and pages that bytemill wrote; NAME=PLACE names a run."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="File to write, .html or .md; - is stdout. Default: report.html in the first PLACE that is a folder, "
            "or else in the current folder.",
        ),
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the page. Default: made from its content, such as Report of 5 results.")
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option("--figures", help="Also write each plot to this folder, as SVG, PNG and CSV.", callback=on_disk),
    ] = None,
    language: Annotated[
        Literal["en", "zh"], typer.Option("--lang", help="Language of headings, captions and verdicts: en or zh.")
    ] = "en",
    x: Annotated[str, typer.Option("--x", help="Horizontal axis of the curves: steps, tokens or epochs.")] = "steps",
    is_private: Private = False,
) -> None:
    """Write one self-contained page that compares runs, or that joins runs, sweeps and other pages of bytemill.

    Runs that follow each other in the command are compared. If --output is a .md file, the plots are written to
    a folder next to it.

    Example: bytemill report adamw=runs/a muon=runs/b -o comparison.html

    Example: bytemill report audit.html ladder.html runs/a runs/mysweep judge.html -o homework.html
    """
    if output not in (None, STDOUT) and output.suffix not in (".html", ".md"):
        raise ArgumentError(f"--output is {output}, expected a name that ends in .html or .md, or -")
    require("matplotlib")
    from bytemill.report.document import document

    given = named(places)
    page = document(given, title=title, is_private=is_private, x=x)
    if language == "zh":
        from bytemill.report.translation import in_chinese

        page = in_chinese(page)
    output = output or _default_output(list(given.values()))
    if output.suffix == ".md":
        text = _markdown(page, output, figures or output.with_name(f"{output.stem}-figures"))
    else:
        text = page.html()
        if figures is not None:
            _write_figures(page, figures)
    if output == STDOUT:
        sys.stdout.write(text)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)
    print(output)


def _default_output(places: list[str]) -> Path:
    folders = [Path(place) for place in places if Path(place).is_dir()]
    return (folders[0] if folders else Path()) / "report.html"


def _write_figures(page: "Page", folder: Path) -> "WrittenFigures":
    from bytemill.report.figure_files import write_figures

    written = write_figures(page, folder)
    say(f"{folder}: {len(written.names)} plots as SVG, PNG and CSV")
    if written.without_font:
        say(
            f"{len(written.without_font)} PNG files lack characters that no installed font has, such as "
            f"{written.without_font[0]}: install a font for them, such as Noto Sans CJK (fonts-noto-cjk), and try again"
        )
    return written


def _markdown(page: "Page", output: Path, figures: Path) -> str:
    """Write the plots to the folder `figures`, and return the page as Markdown with links to them."""
    from bytemill.report.markdown import page_markdown

    names = iter(_write_figures(page, figures).names)
    folder = Path(os.path.relpath(figures, output.parent)).as_posix()
    return without_user(page_markdown(page, lambda _: f"{folder}/{next(names)}.png"))
