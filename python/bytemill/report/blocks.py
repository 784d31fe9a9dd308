"""The blocks of a page: prose, key figures, tables, plots, texts side by side, tokens, code, and details.

A block is plain data that returns itself as HTML; all text is escaped here, so samples of a model may contain anything.
`kind` names a block in the page's record (see `record.py`). `level` is the level of a block's heading.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal, Union

from bytemill.escape import escape
from bytemill.report.charts import Chart
from bytemill.report.token_strip import TokenStrip, TokenStrips

__all__ = [
    "Block",
    "Code",
    "Comparison",
    "Details",
    "Figure",
    "KeyFigures",
    "Multiples",
    "Plot",
    "Prose",
    "Table",
    "blocks_html",
    "with_code",
]

COPY = '<button type="button" class="copy" hidden>Copy</button>'
"""The script of the page shows the button and copies the element after it."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs, separated by blank lines; `words in backticks` are shown as code."""

    text: str
    kind: Literal["prose"] = "prose"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        paragraphs = map(str.strip, re.split(r"\n\s*\n", self.text.strip()))
        return "".join(f"<p>{with_code(paragraph)}</p>\n" for paragraph in paragraphs)


@dataclass(frozen=True)
class Figure:
    """A number with a label and a note."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class KeyFigures:
    """A row of numbers in large type."""

    figures: tuple[Figure, ...]
    kind: Literal["key figures"] = "key figures"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        items = "".join(
            f"<div><dt>{escape(figure.label)}</dt><dd>{escape(figure.value)}</dd>"
            + (f'<dd class="note">{with_code(figure.note)}</dd>' if figure.note else "")
            + "</div>\n"
            for figure in self.figures
        )
        return f'<dl class="figures">\n{items}</dl>\n'


@dataclass(frozen=True)
class Table:
    """A table with a caption; the first cell of a row is its heading."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    """Right-aligned columns, counted from 0."""
    code: tuple[int, ...] = ()
    """Columns shown as code, counted from 0."""
    plain: bool = False
    """Whether only screen readers get the header, as in a list of facts that needs none."""
    best: tuple[tuple[int, int], ...] = ()
    """Cells with the best value, as (row, column), counted from 0."""
    kind: Literal["table"] = "table"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        head = "".join(self._cell("th", i, text, ' scope="col"') for i, text in enumerate(self.header))
        body = "".join(f"<tr>{self._row(number, row)}</tr>\n" for number, row in enumerate(self.rows))
        # A wide table scrolls inside its own region, also with the keyboard.
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.caption)}">'
            f"<table{' class=plain' if self.plain else ''}>\n<caption>{escape(self.caption)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
        )

    def _row(self, number: int, row: Sequence[str]) -> str:
        if len(row) != len(self.header):
            raise ValueError(f"table {self.caption!r}: a row of {len(row)} cells under {len(self.header)} headers")
        first, *others = row
        cells = [self._cell("td", i, text, best=(number, i) in self.best) for i, text in enumerate(others, start=1)]
        return self._cell("th", 0, first, ' scope="row"') + "".join(cells)

    def _cell(self, tag: str, column: int, text: str, attributes: str = "", *, best: bool = False) -> str:
        names = [*(["number"] if column in self.numeric else []), *(["best"] if best else [])]
        classes = f' class="{" ".join(names)}"' if names else ""
        is_code = column in self.code and "col" not in attributes
        content = f"<code>{escape(text)}</code>" if is_code else escape(text)
        return f"<{tag}{attributes}{classes}>{f'<strong>{content}</strong>' if best else content}</{tag}>"


@dataclass(frozen=True)
class Plot:
    """A plot with a title and an explanation."""

    title: str
    chart: Chart
    what: str
    """What the plot shows."""
    good: str = ""
    """What a good result looks like."""
    numbers: Table | None = None
    """Some of the numbers, to copy or for readers who cannot see the plot."""
    name: str = "plot"
    """Prefix of the ids of its SVG; the page numbers its plots."""
    kind: Literal["plot"] = "plot"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        from bytemill.report.drawing import inline_svg  # matplotlib takes a second, and some pages have no plot

        good = f" <strong>What is good?</strong> {with_code(self.good)}" if self.good else ""
        return (
            f'<div class="plot"><h{level}>{escape(self.title)}</h{level}>\n{self._legend()}'
            f'<div class="wide">{inline_svg(self.chart, self.name, "wide")}</div>\n'
            f'<div class="narrow">{inline_svg(self.chart, self.name, "narrow")}</div>\n'
            f'<p class="reading">{with_code(self.what)}{good}</p>{self._numbers(level)}</div>\n'
        )

    def small_html(self, level: int = 3) -> str:
        """Return a small version, drawn once."""
        from bytemill.report.drawing import inline_svg

        return (
            f'<div class="plot"><h{level}>{escape(self.title)}</h{level}>\n{self._legend()}'
            f"{inline_svg(self.chart, self.name, 'small')}\n"
            f'<p class="reading">{with_code(self.what)}</p>{self._numbers(level)}</div>\n'
        )

    def _numbers(self, level: int) -> str:
        return Details("The numbers", (self.numbers,)).html(level) if self.numbers else ""

    def _legend(self) -> str:
        items = "".join(
            f'<li><span class="swatch{" dashed" if line.dashed else ""}" '
            f'style="--swatch: var(--{line.colour})"></span>{escape(line.label)}</li>'
            for line in self.chart.legend
        )
        return f'<ul class="legend">{items}</ul>\n' if items else ""


@dataclass(frozen=True)
class Multiples:
    """Small plots of secondary importance, several in a row."""

    plots: tuple[Plot, ...]
    kind: Literal["multiples"] = "multiples"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        return f'<div class="multiples">\n{"".join(plot.small_html(level) for plot in self.plots)}</div>\n'


@dataclass(frozen=True)
class Comparison:
    """Texts side by side: a question, and one answer per column."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """(label, text) per column; texts keep their spaces and line breaks."""
    lead: str = ""
    """Prompt that every text continues; shown in a muted colour before each text."""
    question: str = ""
    """Question above the columns."""
    best: int = -1
    """Index of the column in the accent colour."""
    kind: Literal["comparison"] = "comparison"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        question = f'<div class="sample">{escape(self.question)}</div>\n' if self.question else ""
        lead = f"<b>{escape(self.lead)}</b>" if self.lead else ""
        columns = "".join(
            f"<div{' class=best' if i == self.best else ''}><h{level + 1}>{escape(label)}</h{level + 1}>"
            f'<div class="copyable">{COPY}<div class="sample" dir="auto">'
            f"{lead}{escape(text) or '<i>(nothing)</i>'}</div></div></div>\n"
            for i, (label, text) in enumerate(self.columns)
        )
        title = f"<h{level}>{with_code(self.title)}</h{level}>\n"
        return f'<article>{title}{question}<div class="columns">{columns}</div></article>\n'


@dataclass(frozen=True)
class Code:
    """A command or the text of a file."""

    text: str
    kind: Literal["code"] = "code"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        return f'<div class="copyable">{COPY}<div class="sample" tabindex="0">{escape(self.text)}</div></div>\n'


@dataclass(frozen=True)
class Details:
    """Blocks that open on a click; open ones are also printed on paper."""

    summary: str
    blocks: tuple["Block", ...]
    kind: Literal["details"] = "details"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        return f"<details><summary>{escape(self.summary)}</summary>\n{blocks_html(self.blocks, level)}</details>\n"


Block = Union[Prose, KeyFigures, Table, Plot, Multiples, Comparison, Code, "Details", TokenStrip, TokenStrips]


def blocks_html(blocks: Iterable[Block], level: int = 3) -> str:
    """Return blocks as HTML; plots that follow each other share a grid."""
    parts = []
    for is_plot, group in groupby(blocks, key=lambda block: isinstance(block, Plot)):
        inner = "".join(block.html(level) for block in group)
        parts.append(f'<div class="plots">\n{inner}</div>\n' if is_plot else inner)
    return "".join(parts)


def with_code(text: str) -> str:
    """Escape a text and show its `words in backticks` as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
