"""Write tables as Markdown, and into docs/benchmarks/encoding.md between their markers."""

import datetime
import os
import platform
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Table", "markdown", "write_into"]

Figure = float | str  # a measured number, or the reason for its absence


@dataclass
class Table:
    """One table: a row per vocabulary and text, a column per rival."""

    key: str
    title: str
    unit: str
    more_is_better: bool
    rows: dict[str, dict[str, Figure]] = field(default_factory=dict)

    def ratio(self, row: str, rival: str) -> float | None:
        """Return how many times better bytemill is than `rival`; None if either was not measured."""
        ours, theirs = self.rows[row].get("bytemill"), self.rows[row].get(rival)
        if not isinstance(ours, float) or not isinstance(theirs, float) or not ours or not theirs:
            return None
        return ours / theirs if self.more_is_better else theirs / ours

    def best_rival(self, row: str) -> str | None:
        """Return the best measured rival; None if there is none, or if bytemill was not measured."""
        if "bytemill" not in self.rows[row]:
            return None
        measured = {name: one for name, one in self.rows[row].items() if isinstance(one, float) and name != "bytemill"}
        pick = max if self.more_is_better else min
        return pick(measured, key=measured.__getitem__) if measured else None


def markdown(table: Table) -> str:
    """Return the table, with the ratios of bytemill to gigatoken and to the best rival."""
    names = list(dict.fromkeys(name for row in table.rows.values() for name in row))
    lines = [["", *names, "vs gigatoken", "vs the best"], ["---"] + ["---:"] * (len(names) + 2)]
    for row, figures in table.rows.items():
        best = table.best_rival(row)
        ratios = [_times(table.ratio(row, "gigatoken")), _times(table.ratio(row, best)) if best else ""]
        if best:
            ratios[1] += f" ({best})"
        lines.append([row, *(_cell(figures.get(name, "")) for name in names), *ratios])
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{table.title}; {table.unit}.\n\n{body}"


def provenance() -> str:
    """Return machine, command and date."""
    command = "python benches/encode " + " ".join(_without_folders(one) for one in sys.argv[1:])
    return (
        f"{datetime.datetime.now(datetime.UTC).date()}, {_processor()}, {os.cpu_count()} processors, "
        f"Python {platform.python_version()}: `{command.strip()}`"
    )


def write_into(page: Path, table: Table) -> None:
    """Write `table` between its markers in `page`, or at the end of `page` if there are none."""
    begin, end = f"<!-- benches/encode {table.key} -->", f"<!-- /benches/encode {table.key} -->"
    section = f"{begin}\n{markdown(table)}\n\n{provenance()}\n{end}"
    text = page.read_text(encoding="utf-8")
    if begin in text:
        text = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: section, text, flags=re.DOTALL)
    else:
        text = f"{text.rstrip()}\n\n{section}\n"
    page.write_text(text, encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _without_folders(argument: str) -> str:
    """Return the argument without folders: `/a/b/c.txt` becomes `c.txt`."""
    name, separator, path = argument.rpartition("=")
    return name + separator + (Path(path).name if "/" in path else path)


def _cell(figure: Figure) -> str:
    if isinstance(figure, str):
        return figure
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"
