"""Builds a self-contained HTML page: what made it, a verdict, key figures, and sections of blocks.

A page may also consist of chapters, which are pages themselves; `report` joins several results in this way. It loads no
other file. Its content security policy allows exactly one script, the copy buttons, by the script's hash. At its end
a page holds its own content as JSON (see `record.py`), so that it can be joined with others later.
"""

import base64
import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Literal

from bytemill.escape import escape
from bytemill.files import write_text
from bytemill.notebook.fragments import framed
from bytemill.places import without_user
from bytemill.report.blocks import Block, Details, Multiples, Plot, Table, blocks_html, with_code
from bytemill.report.record import record_of

__all__ = ["Page", "Section", "joined", "plots_of", "write_page"]

_FOOTER = "Written by bytemill. This page is one file: it loads nothing, and you can send it as it is."


@dataclass(frozen=True)
class Section:
    """A part of a page with a heading."""

    title: str
    blocks: tuple[Block, ...]
    is_about_machine: bool = False
    """Whether it shows the machine and its software, which `--private` leaves out."""


@dataclass(frozen=True, repr=False)
class Page:
    """A whole page; in a notebook it shows itself."""

    title: str
    """What the page is, such as "Sweep of lora.r: 5 runs"."""
    verdict: str
    """The result in one or two sentences, chosen by the numbers."""
    sections: tuple[Section, ...]
    kicker: str = ""
    """A few words above the title."""
    summary: tuple[Block, ...] = ()
    """Blocks before the first section: one pair of texts, and the key figures."""
    provenance: str = ""
    """One line: date, command, model, data, machine, duration."""
    chapters: tuple["Page", ...] = ()
    """Further pages in this one."""
    footer: str = _FOOTER
    language: Literal["en", "zh"] = "en"

    def __repr__(self) -> str:
        return f"<page {self.title!r}: {self.verdict}>"

    def _repr_html_(self) -> str:
        return framed(self.html(), self.title)

    def html(self) -> str:
        """Return the whole page as HTML; the home folder is replaced by `~`, and the user's name is removed."""
        page = _with_numbered_plots(self, itertools.count(1))
        sections = "".join(_section(f"part-{i}", part, 2) for i, part in enumerate(page.sections, start=1))
        chapters = "".join(_chapter(i, part) for i, part in enumerate(page.chapters, start=1))
        html = without_user(
            f"{_head(page.title)}<body>\n"
            '<a class="skip" href="#content">Skip to the content</a>\n'
            f"<header>\n{_THEMES}{_opening(page, 1)}</header>\n"
            f'<nav aria-label="Contents"><ol>{_contents(page)}</ol></nav>\n'
            f'<main id="content">\n{sections}{chapters}</main>\n'
            f"<footer><p>{with_code(page.footer)}</p></footer>\n"
            f'<script type="application/json" id="record">{record_of(self)}</script>\n'
            f"<script>{_script()}</script>\n</body>\n</html>\n"
        )
        return _with_chinese_markup(html) if page.language == "zh" else html


def joined(title: str, pages: tuple[Page, ...]) -> Page:
    """Return one page with a chapter per page, and a table of their verdicts."""
    rows = tuple((str(i), page.title, page.verdict.replace("`", "")) for i, page in enumerate(pages, start=1))
    return Page(
        title,
        f"{len(pages)} results; each chapter begins with its own.",
        (),
        kicker="bytemill report",
        summary=(Table("Results", ("", "part", "result"), rows),),
        chapters=pages,
    )


def plots_of(page: Page) -> Iterator[Plot]:
    """Yield all plots of a page, in order."""
    for block in (*page.summary, *(block for section in page.sections for block in section.blocks)):
        yield from _plots_in(block)
    for chapter in page.chapters:
        yield from plots_of(chapter)


def write_page(page: Page, path: str | os.PathLike[str]) -> Path:
    """Write the page atomically; return its path."""
    write_text(path, page.html())
    return Path(path)


def _plots_in(block: Block) -> Iterator[Plot]:
    match block:
        case Plot():
            yield block
        case Multiples():
            yield from block.plots
        case Details():
            for inner in block.blocks:
                yield from _plots_in(inner)


def _with_numbered_plots(page: Page, numbers: Iterator[int]) -> Page:
    """Return the page with a different name for each plot."""

    def named(block: Block) -> Block:
        match block:
            case Plot():
                return replace(block, name=f"plot-{next(numbers)}")
            case Multiples():
                return replace(block, plots=tuple(replace(plot, name=f"plot-{next(numbers)}") for plot in block.plots))
            case Details():
                return replace(block, blocks=tuple(map(named, block.blocks)))
        return block

    return replace(
        page,
        summary=tuple(map(named, page.summary)),
        sections=tuple(replace(part, blocks=tuple(map(named, part.blocks))) for part in page.sections),
        chapters=tuple(_with_numbered_plots(chapter, numbers) for chapter in page.chapters),
    )


def _opening(page: Page, level: int) -> str:
    """Return what a page or chapter begins with, under a heading of this level."""
    kicker = f'<p class="kicker">{escape(page.kicker)}</p>\n' if page.kicker else ""
    provenance = f'<p class="provenance">{with_code(page.provenance)}</p>\n' if page.provenance else ""
    return (
        f"{kicker}<h{level}>{escape(page.title)}</h{level}>\n{provenance}"
        f'<p class="verdict">{with_code(page.verdict)}</p>\n{blocks_html(page.summary, level + 1)}'
    )


def _section(name: str, section: Section, level: int) -> str:
    return (
        f'<section id="{name}" aria-labelledby="title-{name}">\n'
        f'<h{level} id="title-{name}">{escape(section.title)}</h{level}>\n'
        f"{blocks_html(section.blocks, level + 1)}</section>\n"
    )


def _chapter(number: int, page: Page) -> str:
    inner = "".join(_section(f"part-{number}-{i}", part, 3) for i, part in enumerate(page.sections, start=1))
    return f'<article class="chapter" id="chapter-{number}">\n{_opening(page, 2)}{inner}</article>\n'


def _contents(page: Page) -> str:
    items = [f'<li><a href="#part-{i}">{escape(part.title)}</a></li>' for i, part in enumerate(page.sections, start=1)]
    for i, chapter in enumerate(page.chapters, start=1):
        parts = "".join(
            f'<li><a href="#part-{i}-{j}">{escape(part.title)}</a></li>'
            for j, part in enumerate(chapter.sections, start=1)
        )
        items.append(f'<li class="of-chapter"><a href="#chapter-{i}">{escape(chapter.title)}</a><ol>{parts}</ol></li>')
    return "".join(items)


_THEMES = (
    '<fieldset class="theme"><legend>Colours</legend>'
    + "".join(
        f'<label><input type="radio" name="theme" id="theme-{name}"{" checked" if name == "system" else ""}>'
        f"{name}</label>"
        for name in ("system", "light", "dark")
    )
    + "</fieldset>\n"
)


_CHINESE_MARKUP = {
    '<html lang="en">': '<html lang="zh">',
    ">Skip to the content<": ">跳到正文<",
    "<legend>Colours</legend>": "<legend>颜色</legend>",
    ">system</label>": ">跟随系统</label>",
    ">light</label>": ">浅色</label>",
    ">dark</label>": ">深色</label>",
    'aria-label="Contents"': 'aria-label="目录"',
    ">Copy</button>": ">复制</button>",
    "<summary>The numbers</summary>": "<summary>数值</summary>",
    "<strong>What is good?</strong>": "<strong>怎样算好？</strong>",
    f"<footer><p>{_FOOTER}</p>": "<footer><p>由 bytemill 生成。本页是一个独立文件，可以直接发送。</p>",
}
"""Words in the markup; texts of the page are escaped, so none of them contains these."""


def _with_chinese_markup(html: str) -> str:
    for english, chinese in _CHINESE_MARKUP.items():
        html = html.replace(english, chinese)
    return html


def _head(title: str) -> str:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_resource('page.css')}</style>\n</head>\n"
    )


def _script() -> str:
    return _resource("page.js")


def _resource(name: str) -> str:
    return files("bytemill.report").joinpath(name).read_text(encoding="utf-8")
