"""Builds a self-contained HTML page from a few kinds of blocks.

A page has a summary and sections. A section has blocks: prose, key figures, tables, plots, texts side by side, code,
and details that open on a click. All text is escaped here, so samples of a model may contain anything. The page runs no
script and loads no other file; its content security policy enforces this.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bytemill.files import write_text
from bytemill.places import without_user
from bytemill.report.escape import escape

if TYPE_CHECKING:
    from bytemill.report.plots import Drawing

__all__ = [
    "Block",
    "Code",
    "Comparison",
    "Details",
    "Figure",
    "KeyFigures",
    "Page",
    "Plot",
    "Prose",
    "Section",
    "Table",
    "write_page",
]


class Block(Protocol):
    """A part of a section."""

    def html(self) -> str:
        """Return the block as HTML."""


@dataclass(frozen=True)
class Prose:
    """Paragraphs, separated by blank lines; `words in backticks` are shown as code."""

    text: str

    def html(self) -> str:
        """Return the block as HTML."""
        paragraphs = map(str.strip, re.split(r"\n\s*\n", self.text.strip()))
        return "".join(f"<p>{_with_code(paragraph)}</p>\n" for paragraph in paragraphs)


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

    def html(self) -> str:
        """Return the block as HTML."""
        items = "".join(
            f"<div><dt>{escape(figure.label)}</dt><dd>{escape(figure.value)}</dd>"
            + (f'<dd class="note">{_with_code(figure.note)}</dd>' if figure.note else "")
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

    def html(self) -> str:
        """Return the block as HTML."""
        head = "".join(self._cell("th", i, text, ' scope="col"') for i, text in enumerate(self.header))
        body = "".join(f"<tr>{self._row(row)}</tr>\n" for row in self.rows)
        # A wide table scrolls inside its own region, also with the keyboard.
        return (
            f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(self.caption)}">'
            f"<table{' class=plain' if self.plain else ''}>\n<caption>{escape(self.caption)}</caption>\n"
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table></div>\n"
        )

    def _row(self, row: Sequence[str]) -> str:
        if len(row) != len(self.header):
            raise ValueError(f"table {self.caption!r}: a row of {len(row)} cells under {len(self.header)} headers")
        first, *others = row
        cells = [self._cell("td", i, text) for i, text in enumerate(others, start=1)]
        return self._cell("th", 0, first, ' scope="row"') + "".join(cells)

    def _cell(self, tag: str, column: int, text: str, attributes: str = "") -> str:
        number = ' class="number"' if column in self.numeric else ""
        is_code = column in self.code and "col" not in attributes
        content = f"<code>{escape(text)}</code>" if is_code else escape(text)
        return f"<{tag}{attributes}{number}>{content}</{tag}>"


@dataclass(frozen=True)
class Plot:
    """A plot with a title and an explanation."""

    title: str
    drawing: "Drawing"
    what: str
    """What the plot shows."""
    good: str = ""
    """What a good result looks like."""
    numbers: Table | None = None
    """Some of the numbers, to copy or for readers who cannot see the plot."""

    def html(self) -> str:
        """Return the block as HTML."""
        good = f"<p><strong>What is good?</strong> {_with_code(self.good)}</p>" if self.good else ""
        numbers = Details("The numbers", (self.numbers,)).html() if self.numbers else ""
        return (
            f'<h3>{escape(self.title)}</h3>\n<div class="plot"><div>{self._legend()}'
            f'<div class="wide">{self.drawing.wide}</div>\n<div class="narrow">{self.drawing.narrow}</div>'
            f'{numbers}</div>\n<div class="reading"><p>{_with_code(self.what)}</p>{good}</div></div>\n'
        )

    def _legend(self) -> str:
        items = "".join(
            f'<li><span class="swatch{" dashed" if line.dashed else ""}" '
            f'style="--swatch: var(--{line.colour})"></span>{escape(line.label)}</li>'
            for line in self.drawing.lines
        )
        return f'<ul class="legend">{items}</ul>\n' if items else ""


@dataclass(frozen=True)
class Comparison:
    """Texts side by side: a question, and one answer per column."""

    title: str
    columns: tuple[tuple[str, str], ...]
    """(label, text) per column; texts keep their spaces and line breaks."""
    lead: str = ""
    """Prompt that every text continues; shown in bold before each text."""
    question: str = ""
    """Question above the columns."""
    best: int = -1
    """Index of the column in the accent colour."""

    def html(self) -> str:
        """Return the block as HTML."""
        question = f'<div class="sample">{escape(self.question)}</div>\n' if self.question else ""
        lead = f"<b>{escape(self.lead)}</b>" if self.lead else ""
        columns = "".join(
            f"<div{' class=best' if i == self.best else ''}><h4>{escape(label)}</h4>"
            f'<div class="sample" dir="auto">{lead}{escape(text) or "<i>(nothing)</i>"}</div></div>\n'
            for i, (label, text) in enumerate(self.columns)
        )
        title = f"<h3>{_with_code(self.title)}</h3>\n"
        return f'<article>{title}{question}<div class="columns">{columns}</div></article>\n'


@dataclass(frozen=True)
class Code:
    """A command or the text of a file."""

    text: str

    def html(self) -> str:
        """Return the block as HTML."""
        return f'<div class="sample" tabindex="0">{escape(self.text)}</div>\n'


@dataclass(frozen=True)
class Details:
    """Blocks that open on a click; open ones are also printed on paper."""

    summary: str
    blocks: tuple[Block, ...]

    def html(self) -> str:
        """Return the block as HTML."""
        inner = "".join(block.html() for block in self.blocks)
        return f"<details><summary>{escape(self.summary)}</summary>\n{inner}</details>\n"


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    lead: str
    """Summary in one or two sentences."""
    sections: tuple[Section, ...]
    kicker: str = ""
    """A few words above the title."""
    summary: tuple[Block, ...] = field(default=())
    """Blocks before the first section."""
    footer: str = ""

    def html(self) -> str:
        """Return the whole page as HTML; the home folder is replaced by `~`, and the user's name is removed."""
        numbered = list(enumerate(self.sections, start=1))
        contents = "".join(f'<li><a href="#part-{i}">{escape(part.title)}</a></li>' for i, part in numbered)
        kicker = f'<p class="kicker">{escape(self.kicker)}</p>\n' if self.kicker else ""
        summary = "".join(block.html() for block in self.summary)
        sections = "".join(_section(i, part) for i, part in numbered)
        return without_user(
            f"{_head(self.title)}<body>\n"
            '<a class="skip" href="#content">Skip to the content</a>\n'
            f"<header>\n{kicker}<h1>{escape(self.title)}</h1>\n"
            f'<p class="lead">{_with_code(self.lead)}</p>\n{summary}</header>\n'
            f'<nav aria-label="Contents"><ol>{contents}</ol></nav>\n'
            f'<main id="content">\n{sections}</main>\n'
            f"<footer><p>{_with_code(self.footer)}</p></footer>\n</body>\n</html>\n"
        )


def write_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write the page atomically; return its path."""
    write_text(path, page.html())
    return Path(path)


def _section(number: int, section: Section) -> str:
    blocks = "".join(block.html() for block in section.blocks)
    return (
        f'<section id="part-{number}" aria-labelledby="title-{number}">\n'
        f'<h2 id="title-{number}">{escape(section.title)}</h2>\n{blocks}</section>\n'
    )


def _with_code(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _head(title: str) -> str:
    style = files("bytemill.report").joinpath("page.css").read_text(encoding="utf-8")
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n"
    )
