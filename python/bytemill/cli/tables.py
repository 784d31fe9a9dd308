"""Print tables: as Markdown into a pipe or a file, and as tables with lines on a terminal."""

import re
import sys
from collections.abc import Sequence

from bytemill.cli.console import put
from bytemill.outside_text import printable

__all__ = ["put_tables"]

_RULE = re.compile(r"\|( -{3,}:? \||-{3,}:?\|)+")
_BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


def put_tables(markdown: str) -> None:
    """Print tables that are given in Markdown, and the lines between them.

    Args:
        markdown: Lines; those of a table begin and end with `|`, as bytemill writes them.
    """
    if not sys.stdout.isatty():
        put(markdown, end="")
        return
    for is_table, lines in _parts(markdown.splitlines()):
        if is_table:
            _show(lines)
        else:
            for line in lines:
                put(line)


def _parts(lines: Sequence[str]) -> list[tuple[bool, list[str]]]:
    """Return runs of lines, each with whether it is a table: its second line is a rule."""
    parts: list[tuple[bool, list[str]]] = []
    for number, line in enumerate(lines):
        begins = number + 1 < len(lines) and _RULE.fullmatch(lines[number + 1]) is not None
        goes_on = bool(parts) and parts[-1][0] and line.startswith("|")
        if begins or not parts or parts[-1][0] != goes_on:
            parts.append((begins, []))
        parts[-1][1].append(line)
    return parts


def _show(lines: Sequence[str]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header, rule, *rows = (cells_of(line) for line in lines)
    numeric = [mark.endswith(":") or _are_numbers(rows, column) for column, mark in enumerate(rule)]
    table = Table(header_style="")
    for name, is_number in zip(header, numeric, strict=True):
        table.add_column(Text(printable(name)), justify="right" if is_number else "left", no_wrap=is_number)
    for row in rows:  # as Text: a cell may look like rich's markup
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(table)


def cells_of(line: str) -> list[str]:
    r"""Return the cells of a line of a Markdown table.

    >>> cells_of(r"| a \| b | 1<br>2 |")
    ['a | b', '1\n2']
    """
    cells = _BETWEEN_CELLS.split(line.strip()[1:-1])
    return [cell.strip().replace("\\|", "|").replace("<br>", "\n") for cell in cells]


def _are_numbers(rows: Sequence[Sequence[str]], column: int) -> bool:
    return bool(rows) and all(re.fullmatch(r"[-+]?[\d.,]+(e[-+]?\d+)?|–|", row[column]) for row in rows)
