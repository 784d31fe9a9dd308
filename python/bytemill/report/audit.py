"""Writes the answers of a tokenizer audit as a page, as Markdown and as text."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING

from bytemill.report.blocks import Block, Details, Figure, KeyFigures, Plot, Prose, Table
from bytemill.report.charts import Bars, Curves, Line
from bytemill.report.figures import count, decimal
from bytemill.report.page import Page, Section
from bytemill.report.text_tables import markdown_table, plain_table
from bytemill.report.verdict import growth_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.tokenizer import Tokenizer
    from bytemill.tokenizer.audit.answer import Answer, Cell, Growth

__all__ = ["audit_markdown", "audit_page", "audit_text"]

_TEXT_WIDTH = 100


def audit_page(name: str, tokenizer: Tokenizer, answers: Sequence[Answer], *, provenance: str = "") -> Page:
    """Return the audit as a page with one section per question."""
    n_special = len(tokenizer.special_tokens)
    figures = (
        Figure(count(tokenizer.n_vocab), "ids", f"{count(len(tokenizer.merges))} of them are merges"),
        Figure(str(n_special), "special token" + ("" if n_special == 1 else "s"), ", ".join(tokenizer.special_tokens)),
        Figure("no" if tokenizer.pattern is None else "yes", "splits text into pretokens", _pattern(tokenizer)),
    )
    return Page(
        title=f"Tokenizer audit of {name}",
        verdict=_verdict(answers),
        sections=tuple(Section(answer.question, _blocks(answer)) for answer in answers),
        kicker="bytemill tokenizer audit",
        summary=(KeyFigures(figures),),
        provenance=provenance,
    )


def audit_markdown(name: str, answers: Sequence[Answer]) -> str:
    """Return the audit as Markdown with one heading per question."""
    parts = [f"# Tokenizer audit of {name}"]
    for number, answer in enumerate(answers, start=1):
        parts += [f"## {number}. {answer.question}", answer.explanation, markdown_table(_table(answer))]
    return "\n\n".join(parts) + "\n"


def audit_text(answers: Sequence[Answer]) -> str:
    """Return the audit as plain text for terminals and pipes."""
    parts = []
    for number, answer in enumerate(answers, start=1):
        parts += [
            f"{number}. {answer.question}",
            textwrap.fill(answer.explanation, _TEXT_WIDTH),
            plain_table(_table(answer)),
            "",
        ]
    return "\n".join(parts)


def _verdict(answers: Sequence[Answer]) -> str:
    growth = next((answer.growth for answer in answers if answer.growth), None)
    asked = f"{len(answers)} common questions about tokenizers, answered with measurements of this one."
    return asked if growth is None else f"{asked} {growth_verdict(growth.points)}"


def _pattern(tokenizer: Tokenizer) -> str:
    return "merges span the whole text" if tokenizer.pattern is None else "merges do not span several pretokens"


def _blocks(answer: Answer) -> tuple[Block, ...]:
    table = _table(answer)
    if answer.growth:
        return (Prose(answer.explanation), _growth(answer, answer.growth), table)
    if answer.bars:
        whole = _table(answer, answer.all_rows) if answer.all_rows else table
        return (Prose(answer.explanation), _bars(answer), Details("The numbers", (whole,)))
    return (Prose(answer.explanation), table)


def _table(answer: Answer, all_rows: tuple[tuple[Cell, ...], ...] = ()) -> Table:
    columns = range(len(answer.header))
    numeric = tuple(i for i in columns if any(isinstance(row[i], int | float) for row in answer.rows))
    rows = tuple(tuple(map(_cell, row)) for row in all_rows or answer.rows)
    return Table(answer.caption, answer.header, rows, numeric=numeric, code=answer.token_columns)


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return count(value)
    return decimal(value, 4).rstrip("0") if 0 < abs(value) < 0.1 else decimal(value)


def _growth(answer: Answer, growth: Growth) -> Plot:
    sizes, values = zip(*growth.points, strict=True)
    listed = ", ".join(f"{decimal(value)} with {count(size)}" for size, value in growth.points)
    chart = Curves(
        (Line(growth.label, sizes, values, marked=True),),
        growth.x_label,
        growth.label,
        f"{growth.label} by {growth.x_label}: {listed}.",
        x_log2=True,
        y_from_zero=True,
    )
    title = f"{_capital(growth.label)} by vocabulary size"
    what = f"{answer.caption.partition(';')[0]}. {growth_verdict(growth.points)}"
    return Plot(title, chart, what)


def _bars(answer: Answer) -> Plot:
    names, values = zip(*answer.bars, strict=True)
    is_whole = all(math.floor(value) == value for value in values)
    value_format = "{:,.0f}" if is_whole else "{:,.2f}"
    listed = ", ".join(f"{name} {value_format.format(value)}" for name, value in answer.bars)
    chart = Bars(names, values, f"{answer.bars_label}: {listed}.", value_format)
    return Plot(_capital(answer.bars_label), chart, answer.caption + ".")


def _capital(label: str) -> str:
    return label[:1].upper() + label[1:]
