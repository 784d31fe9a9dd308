"""Write the tables of README.md and docs/benchmarks.md that repeat figures of the pages in docs/benchmarks.

    python benches/summary.py

`benches/encode --docs` and `benches/train_vocabulary.py --docs` run it after they have written their tables.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
ENCODING = ROOT / "docs" / "benchmarks" / "encoding.md"
VOCABULARY = ROOT / "docs" / "benchmarks" / "vocabulary.md"
RIVALS = ["bytemill", "tiktoken", "tokenizers", "gigatoken"]
TEXTS = [f"{vocabulary}, {text}" for vocabulary in ("gpt2", "cl100k") for text in ("English", "code", "Chinese")]

Row = dict[str, str]


@dataclass(frozen=True)
class Ratio:
    """A row of docs/benchmarks.md: the table, column and rows of its figures."""

    title: str
    goal: str
    table: str
    column: str
    row_ends_with: str = ""
    texts: tuple[str, ...] = tuple(TEXTS)


README_ROWS = {
    "encode to an array, text seen before, MB per CPU second": "warm",
    "encode to an array, unseen text, MB per CPU second": "unseen",
    "decode, million ids per CPU second": "decode",
}
TRAINING_ROW = "train 32,768 tokens on 31 MB, CPU seconds"
RATIOS = [
    Ratio("warm text", "1.1; Chinese 1.5", "warm", "vs gigatoken"),
    Ratio("unseen text", "1.5; Chinese 3", "unseen", "vs gigatoken"),
    Ratio("unseen text, the best rival", "1.5", "unseen", "vs the best", texts=("gpt2, Chinese", "cl100k, Chinese")),
    Ratio("lists", "2", "lists", "vs gigatoken"),
    Ratio("decoding", "4", "decode", "vs gigatoken"),
    Ratio("20 bytes to a list, the best rival", "0.95", "calls", "vs the best", row_ends_with="20 bytes, list"),
]


def marked(page: str, begin: str, end: str) -> str:
    """Return what is between two markers."""
    return page.split(begin, 1)[1].split(end, 1)[0]


def rows(text: str) -> list[Row]:
    """Return the rows of the first Markdown table in `text`, each as a dict by column name."""
    lines = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE)
    if not lines:
        raise ValueError("no table between the markers")
    head, _, *body = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[0].splitlines()]
    return [dict(zip(head, cells, strict=True)) for cells in body]


def encoding(key: str) -> list[Row]:
    """Return the rows of one table of benches/encode."""
    page = ENCODING.read_text(encoding="utf-8")
    return rows(marked(page, f"<!-- benches/encode {key} -->", f"<!-- /benches/encode {key} -->"))


def only(found: list[Row], begin: str, end: str = "") -> Row:
    """Return the only row whose name has this beginning and end."""
    named = [row for row in found if row[""].startswith(begin) and row[""].endswith(end)]
    if len(named) != 1:
        raise ValueError(f"{ENCODING.name}: a table has {len(named)} rows named {begin} … {end}, not 1")
    return named[0]


def training_row() -> dict[str, str]:
    """Return CPU seconds by trainer; "" for a trainer whose merges differ or that was not timed."""
    page = VOCABULARY.read_text(encoding="utf-8")
    section = marked(page, "<!-- benches/train_vocabulary.py -->", "<!-- end of benches/train_vocabulary.py -->")
    wanted = [row for row in rows(section) if (row["pattern"], row["vocabulary"]) == ("gpt2", "32,768")]
    english = [row for row in wanted if row["text"].startswith("english")]
    seconds = {row["trainer"]: row["CPU s"] for row in english if row["merges"] in ("", "equal")}
    return {rival: seconds.get("bytemill huggingface lines" if rival == "bytemill" else rival, "") for rival in RIVALS}


def readme_table() -> str:
    """Return README's table: GPT-2's vocabulary, English."""
    lines = [["", *RIVALS], ["---"] + ["---:"] * len(RIVALS)]
    for title, key in README_ROWS.items():
        row = only(encoding(key), "gpt2, English")
        lines.append([title, *(row.get(rival, "") for rival in RIVALS)])
    lines.append([TRAINING_ROW, *training_row().values()])
    return markdown(lines)


def ratio_table() -> str:
    """Return the table of ratios in docs/benchmarks.md."""
    lines = [["", "goal", *TEXTS], ["---"] + ["---:"] * (len(TEXTS) + 1)]
    for ratio in RATIOS:
        found = encoding(ratio.table)
        cells = [only(found, text, ratio.row_ends_with)[ratio.column] if text in ratio.texts else "" for text in TEXTS]
        lines.append([ratio.title, ratio.goal, *(cell.split("x")[0] for cell in cells)])
    return markdown(lines)


def markdown(lines: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def filled(page: str, key: str, table: str) -> str:
    """Return `page` with `table` between the markers of `key`."""
    begin, end = f"<!-- benches/summary {key} -->", f"<!-- /benches/summary {key} -->"
    old = marked(page, begin, end)
    return page.replace(f"{begin}{old}{end}", f"{begin}\n{table}\n{end}")


def pages() -> dict[Path, str]:
    """Return each page that repeats figures, with the current figures."""
    tables = {
        ROOT / "README.md": ("readme", readme_table()),
        ROOT / "docs" / "benchmarks.md": ("encoding", ratio_table()),
    }
    return {page: filled(page.read_text(encoding="utf-8"), *table) for page, table in tables.items()}


def main() -> None:
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
