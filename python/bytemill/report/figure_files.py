"""Writes each plot of a page into a folder as SVG and PNG, and its numbers as CSV."""

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bytemill.files import write_bytes, write_text
from bytemill.report.blocks import Plot
from bytemill.report.drawing import plot_file
from bytemill.report.page import Page, plots_of

__all__ = ["WrittenFigures", "write_figures"]

_MAX_NAME_CHARACTERS = 60


@dataclass(frozen=True)
class WrittenFigures:
    """The files of a page's plots."""

    names: tuple[str, ...]
    """File name of each plot without its ending, in the order of the page."""
    without_font: tuple[str, ...]
    """PNG files in which characters are missing, because no installed font has them."""


def write_figures(page: Page, folder: Path) -> WrittenFigures:
    """Write NN-TITLE.svg, .png and .csv for each plot; the folder is created if missing.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names, without_font = [], []
    for number, plot in enumerate(plots_of(page), start=1):
        name = f"{number:02d}-{_file_name(plot.title)}"
        names.append(name)
        write_bytes(folder / f"{name}.svg", plot_file(plot.chart, "svg")[0])
        content, lacks_font = plot_file(plot.chart, "png")
        write_bytes(folder / f"{name}.png", content)
        without_font += [f"{name}.png"] if lacks_font else []
        write_text(folder / f"{name}.csv", _csv(plot), errors="backslashreplace")
    return WrittenFigures(tuple(names), tuple(without_font))


def _file_name(title: str) -> str:
    """Return a title as a file name.

    >>> _file_name("Validation loss, 1 of 2"), _file_name("损失"), _file_name("<>")
    ('validation-loss-1-of-2', '损失', 'plot')
    """
    return re.sub(r"[\W_]+", "-", title.lower()).strip("-")[:_MAX_NAME_CHARACTERS].rstrip("-") or "plot"


def _csv(plot: Plot) -> str:
    header, rows = plot.chart.columns()
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_cell(value) for value in row] for row in rows])
    return file.getvalue()


def _cell(value: Any) -> Any:
    return "" if isinstance(value, float) and not math.isfinite(value) else value
