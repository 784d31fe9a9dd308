"""Writes a page as Markdown, with its plots as links to image files."""

import re
from collections.abc import Callable, Iterable, Iterator

from bytemill.escape import visible
from bytemill.report.blocks import (
    Block,
    Code,
    Comparison,
    Details,
    KeyFigures,
    Multiples,
    Plot,
    Prose,
    Table,
)
from bytemill.report.page import Page
from bytemill.report.text_tables import markdown_table
from bytemill.report.token_strip import TokenStrip, TokenStrips

__all__ = ["page_markdown"]

_CODE_SPAN = re.compile(r"(`[^`]*`)")


def page_markdown(page: Page, image_of: Callable[[Plot], str]) -> str:
    """Return the page as Markdown.

    Args:
        page: The page.
        image_of: Called with each plot, in order; returns the path of its image.
    """
    return "\n\n".join(part for part in _page(page, 1, image_of) if part) + "\n"


def _page(page: Page, level: int, image_of: Callable[[Plot], str]) -> Iterator[str]:
    yield _heading(page.title, level)
    yield _text(page.provenance)
    yield _text(page.verdict)
    yield from _blocks(page.summary, level + 1, image_of)
    for section in page.sections:
        yield _heading(section.title, level + 1)
        yield from _blocks(section.blocks, level + 2, image_of)
    for chapter in page.chapters:
        yield from _page(chapter, level + 1, image_of)


def _blocks(blocks: Iterable[Block], level: int, image_of: Callable[[Plot], str]) -> Iterator[str]:
    for block in blocks:
        match block:
            case Prose():
                yield _text(block.text)
            case KeyFigures():
                notes = ((one, f" ({_text(one.note)})" if one.note else "") for one in block.figures)
                yield "\n".join(f"* {_text(one.label)}: **{_text(one.value)}**{note}" for one, note in notes)
            case Table():
                yield markdown_table(block)
            case Plot():
                yield _heading(block.title, level)
                yield f"![{_label(block.chart.alt)}]({image_of(block)})"
                yield _text(f"{block.what} {block.good}")
            case Multiples():
                yield from _blocks(block.plots, level, image_of)
            case Comparison():
                yield _heading(block.title, level)
                yield _fenced(block.question) if block.question else ""
                for label, text in block.columns:
                    yield f"**{_text(label)}**" if label else ""
                    yield _fenced(block.lead + text)
            case Code():
                yield _fenced(block.text)
            case Details():
                yield _heading(block.summary, level)
                yield from _blocks(block.blocks, level + 1, image_of)
            case TokenStrips():
                yield _heading(block.title, level)
                yield from _blocks(block.strips, level, image_of)
            case TokenStrip():
                tokens = " ".join(f"{_code(one.text)} {one.id}" for one in block.tokens)
                yield f"**{_text(block.label)}**, {block.count}: {tokens}"


def _heading(title: str, level: int) -> str:
    return f"{'#' * min(level, 6)} {' '.join(_text(title).split())}"


def _text(text: str) -> str:
    """Return prose whose paragraphs are lines, with `<` and `&` escaped outside code."""
    paragraphs = (" ".join(visible(one).split()) for one in re.split(r"\n\s*\n", text.strip()))
    parts = _CODE_SPAN.split("\n\n".join(paragraphs))
    return "".join(part if part.startswith("`") and len(part) > 1 else _escaped(part) for part in parts)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _label(text: str) -> str:
    return re.sub(r"[\[\]]", "", " ".join(_escaped(visible(text)).split()))


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def _fenced(text: str) -> str:
    """Return the text as a block of code, whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{visible(text)}\n{fence}"
