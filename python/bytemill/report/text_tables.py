"""Writes a page's tables as plain text for terminals and pipes, and as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.escape import visible

if TYPE_CHECKING:
    from bytemill.report.blocks import Table

__all__ = ["markdown_table", "plain_table"]


def plain_table(table: Table) -> str:
    """Return a table as aligned columns, two spaces apart; wide characters such as Chinese count two columns.

    >>> from bytemill.report.blocks import Table
    >>> print(plain_table(Table("Sizes", ("name", "bytes"), (("北", "3"), ("word", "1,000")), numeric=(1,))))
    Sizes
    name  bytes
    北        3
    word  1,000
    """
    rows = [[_line(cell) for cell in row] for row in (table.header, *table.rows)]
    widths = [max(_width(row[column]) for row in rows) for column in range(len(table.header))]
    lines = [
        "  ".join(_padded(cell, widths[column], column in table.numeric) for column, cell in enumerate(row)).rstrip()
        for row in rows
    ]
    return "\n".join([table.caption, *lines])


def markdown_table(table: Table) -> str:
    r"""Return a table as Markdown: its caption in bold, and code cells in backticks.

    >>> from bytemill.report.blocks import Table
    >>> print(markdown_table(Table("Sizes", ("name", "bytes"), (("a|b", "3"),), numeric=(1,), code=(0,))))
    **Sizes**
    <BLANKLINE>
    | name | bytes |
    |---|---:|
    | `a\|b` | 3 |
    """
    rules = "".join("---:|" if column in table.numeric else "---|" for column in range(len(table.header)))
    rows = [
        "| "
        + " | ".join(
            _markdown(cell, is_code=column in table.code, is_best=(number, column) in table.best)
            for column, cell in enumerate(row)
        )
        + " |"
        for number, row in enumerate(table.rows)
    ]
    return "\n".join([f"**{table.caption}**", "", f"| {' | '.join(table.header)} |", f"|{rules}", *rows])


def _markdown(cell: str, *, is_code: bool, is_best: bool) -> str:
    text = _line(cell).replace("|", r"\|")
    if not is_code or not text:
        return f"**{text}**" if is_best else text
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _line(cell: str) -> str:
    """Return the cell on one line, with visible control characters."""
    return visible(cell).replace("\n", "↵").replace("\t", "⇥")


def _padded(cell: str, width: int, is_number: bool) -> str:
    space = " " * (width - _width(cell))
    return space + cell if is_number else cell + space


def _width(cell: str) -> int:
    from rich.cells import cell_len

    return cell_len(cell)
