"""README.md and docs/benchmarks.md repeat figures of the pages in docs/benchmarks: they must be equal."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "benchmarks"
SUMMARY = runpy.run_path(str(ROOT / "benches" / "summary.py"))
UPDATE = "run python benches/summary.py"
README_COLUMNS = ["bytemill", "tiktoken", "tokenizers", "gigatoken"]
README_ROWS = {
    "encode to an array, text seen before, MB per CPU second": "warm",
    "encode to an array, unseen text, MB per CPU second": "unseen",
    "decode, million ids per CPU second": "decode",
}
TRAINING_ROW = "train 32,768 tokens on 31 MB, CPU seconds"
NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?(?:e-\d+)?")


def table(text: str, begin: str = "", end: str = "\n## ") -> dict[str, dict[str, str]]:
    """Return the first table after `begin`: row name -> column name -> cell."""
    section = text.split(begin, 1)[1] if begin else text
    lines = [line for line in section.split(end, 1)[0].splitlines() if line.startswith("|")]
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cells[0]: dict(zip(head[1:], cells[1:], strict=True)) for cells in rows}


def readme() -> dict[str, dict[str, str]]:
    return table((ROOT / "README.md").read_text(encoding="utf-8"), "<!-- benches/summary readme -->")


def encoding_figures(key: str) -> dict[str, str]:
    """Return the row of GPT-2's vocabulary and English in one table of docs/benchmarks/encoding.md."""
    page = (PAGES / "encoding.md").read_text(encoding="utf-8")
    rows = table(page, f"<!-- benches/encode {key} -->", f"<!-- /benches/encode {key} -->")
    (row,) = [cells for name, cells in rows.items() if name.startswith("gpt2, English")]
    return row


def training_seconds(trainer: str) -> str:
    """Return CPU seconds in docs/benchmarks/vocabulary.md, or "" for a trainer with other merges or without a row."""
    page = (PAGES / "vocabulary.md").read_text(encoding="utf-8")
    name = "bytemill huggingface lines" if trainer == "bytemill" else trainer
    row = re.search(
        rf"^\| english 31 MB \| gpt2 \| 32,768 \| {name} \| ([\d.]+) \|.*\| (equal)? *\|$", page, re.MULTILINE
    )
    return row[1] if row else ""


def test_the_readme_has_the_rows_and_columns_that_are_compared() -> None:
    shown = readme()
    assert list(shown) == [*README_ROWS, TRAINING_ROW]
    assert all(list(cells) == README_COLUMNS for cells in shown.values())


@pytest.mark.parametrize("column", README_COLUMNS)
@pytest.mark.parametrize("row", README_ROWS)
def test_a_figure_of_encoding_in_the_readme_is_that_of_the_benchmarks(row: str, column: str) -> None:
    measured = encoding_figures(README_ROWS[row])[column]
    assert NUMBER.fullmatch(measured)
    assert readme()[row][column] == measured, UPDATE


@pytest.mark.parametrize("column", README_COLUMNS)
def test_a_figure_of_training_in_the_readme_is_that_of_the_benchmarks(column: str) -> None:
    assert readme()[TRAINING_ROW][column] == training_seconds(column), UPDATE


def test_a_trainer_with_other_merges_has_no_figure() -> None:
    assert training_seconds("tokenizers")
    assert not training_seconds("gigatoken")


@pytest.mark.parametrize("page", ["README.md", "docs/benchmarks.md"])
def test_the_summary_script_has_nothing_to_update(page: str) -> None:
    assert SUMMARY["pages"]()[ROOT / page] == (ROOT / page).read_text(encoding="utf-8"), UPDATE


def test_another_figure_in_the_tables_reaches_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PAGES / "encoding.md").read_text(encoding="utf-8")
    changed = tmp_path / "encoding.md"
    changed.write_text(re.sub(r"(\| gpt2, English 25 MB \|) [\d.]+", r"\1 98765", page), encoding="utf-8")
    monkeypatch.setitem(SUMMARY["encoding"].__globals__, "ENCODING", changed)
    assert "98765 | 18.2" in SUMMARY["pages"]()[ROOT / "README.md"]


AREAS = sorted(path.stem for path in PAGES.glob("*.md"))


@pytest.mark.parametrize("area", AREAS)
def test_a_summary_has_no_figure_that_its_page_lacks(area: str) -> None:
    sections = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").split("\n## ")
    (section,) = [text for text in sections if f"(benchmarks/{area}.md)" in text]
    shown = {figure for line in section.splitlines() if line.startswith("|") for figure in NUMBER.findall(line)}
    measured = set(NUMBER.findall((PAGES / f"{area}.md").read_text(encoding="utf-8")))
    assert len(shown) > 5
    assert shown - measured == set()


def test_the_summary_stays_short() -> None:
    assert len((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("area", AREAS)
def test_a_page_of_benchmarks_says_machine_command_and_date(area: str) -> None:
    text = (PAGES / f"{area}.md").read_text(encoding="utf-8")
    assert "2 virtual cores of an AMD EPYC" in text
    assert re.search(r"`python benches/", text)
    assert re.search(r"\b(?:2026-\d\d-\d\d|\d\d? November 2026)\b", text)
