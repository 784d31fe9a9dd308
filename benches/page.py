"""Write a benchmark's table as Markdown, and between its markers in a page of docs/benchmarks."""

import datetime
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

PAGES = Path(__file__).parents[1] / "docs" / "benchmarks"


def table(columns: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table; the first column is left-aligned, the others are numbers."""
    lines = [columns, ["---"] + ["---:"] * (len(columns) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def provenance(command: str, packages: list[str]) -> str:
    """Return command, versions, load of the machine and date."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"`{command}`, {datetime.date.today():%d %B %Y}; Python {python}, {versions}; load average {load:.1f}."


def command_line() -> str:
    """Return the command as it was typed, without folders of this machine."""
    return " ".join(["python", *(Path(word).name if word.startswith("/") else word for word in sys.argv)])


def write_section(area: str, key: str, text: str) -> None:
    """Write `text` between the markers of `key` in docs/benchmarks/AREA.md, or at its end if there are none."""
    path = PAGES / f"{area}.md"
    begin, end = f"<!-- benches/{key} -->", f"<!-- /benches/{key} -->"
    section, page = f"{begin}\n{text}\n{end}", path.read_text(encoding="utf-8")
    if begin in page:
        page = re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: section, page, flags=re.DOTALL)
    else:
        page = f"{page.rstrip()}\n\n{section}\n"
    path.write_text(page, encoding="utf-8")
