"""Reports on a vocabulary: bytes per token on unseen text, by vocabulary size, as a page, Markdown or JSON."""

import json
import os
from pathlib import Path

from bytemill.errors import ArgumentError
from bytemill.files import write_text
from bytemill.report.blocks import Details, Figure, KeyFigures, Plot, Prose, Table
from bytemill.report.charts import Curves, Line
from bytemill.report.figures import count, decimal, percent, size, token_text
from bytemill.report.page import Page, Section, write_page
from bytemill.report.verdict import growth_verdict
from bytemill.tokenizer import TrainingReport

__all__ = ["check_report_name", "vocabulary_markdown", "vocabulary_page", "write_vocabulary_report"]


def check_report_name(path: str | os.PathLike[str]) -> None:
    """Refuse a file name with an unknown ending, before long work begins.

    >>> check_report_name("report.pdf")
    Traceback (most recent call last):
    bytemill.errors.ArgumentError: the report is report.pdf, expected a name that ends in .html, .md or .json
    """
    if Path(path).suffix not in (".html", ".md", ".json"):
        raise ArgumentError(f"the report is {path}, expected a name that ends in .html, .md or .json")


def write_vocabulary_report(report: TrainingReport, path: str | os.PathLike[str], *, provenance: str = "") -> Path:
    """Write the report in the format of the file name's ending: .html, .md or .json."""
    check_report_name(path)
    path = Path(path)
    if path.suffix == ".html":
        return write_page(vocabulary_page(report, provenance=provenance), path)
    text = vocabulary_markdown(report) if path.suffix == ".md" else json.dumps(report.as_dict(), indent=2) + "\n"
    write_text(path, text)
    return path


def vocabulary_page(report: TrainingReport, *, provenance: str = "") -> Page:
    """Return the report as a page."""
    verdict = (
        f"A vocabulary of {count(report.n_vocab)} ids has {decimal(report.bytes_per_token)} bytes per token on the "
        f"validation set; {percent(report.unused_share)} of its learned tokens are never used there."
    )
    validation = f"on a validation set of {size(report.held_out_bytes)}"
    figures = KeyFigures(
        (
            Figure(count(report.n_vocab), "ids", f"{count(report.n_learnt)} of them learned"),
            Figure(decimal(report.bytes_per_token, 3), "bytes per token", validation),
            Figure(percent(report.unused_share), "never used", f"{count(report.n_unused)} learned tokens"),
        )
    )
    about = Prose("""
        All numbers are measured on text that was not used for training. A learned token that is never used there is
        not useless: it may be part of words that do not occur in this text.
    """)
    growth = (_growth_plot(report),) if len(report.growth) > 1 else ()
    longest = Details("The longest tokens", (_longest(report),))
    return Page(
        f"Vocabulary of {count(report.n_vocab)} ids",
        verdict,
        (Section("Validation set", (about, *growth, longest)),),
        kicker="bytemill tokenizer train",
        summary=(figures,),
        provenance=provenance,
    )


def vocabulary_markdown(report: TrainingReport) -> str:
    """Return the report as Markdown."""
    growth = "".join(f"| {count(n_ids)} | {decimal(value, 3)} |\n" for n_ids, value in report.growth)
    rows = [(token_text(token).replace("|", r"\|"), len(token)) for token in report.longest_tokens]
    tokens = "".join(f"| `{text}` | {n_bytes} |\n" for text, n_bytes in rows)
    return (
        f"# Vocabulary report\n\n{count(report.n_vocab)} ids, {count(report.n_learnt)} of them learned, measured on a "
        f"validation set of {size(report.held_out_bytes)}: {decimal(report.bytes_per_token, 3)} bytes per token; "
        f"{percent(report.unused_share)} of the learned tokens are never used there.\n\n"
        f"| ids | bytes per token |\n|---:|---:|\n{growth}\n| longest tokens | bytes |\n|---|---:|\n{tokens}"
    )


def _growth_plot(report: TrainingReport) -> Plot:
    rows = tuple((count(n_ids), decimal(value, 3)) for n_ids, value in report.growth)
    sizes, values = [n_ids for n_ids, _ in report.growth], [value for _, value in report.growth]
    chart = Curves(
        (Line("bytes per token", sizes, values, marked=True),),
        "ids in the vocabulary",
        "bytes per token, validation set",
        "Bytes per token by ids: " + ", ".join(f"{value} with {n_ids}" for n_ids, value in rows) + ".",
        x_log2=True,
        y_from_zero=True,
    )
    return Plot(
        "Bytes per token by vocabulary size",
        chart,
        what=f"""Each dot is the vocabulary truncated to that size; training to that size gives the same vocabulary.
        {growth_verdict(report.growth)}""",
        good="Higher means shorter sequences. Where the curve is flat, more ids only make the embedding larger.",
        numbers=Table("Bytes per token by vocabulary size", ("ids", "bytes per token"), rows, numeric=(0, 1)),
    )


def _longest(report: TrainingReport) -> Table:
    rows = tuple((token_text(token), count(len(token))) for token in report.longest_tokens)
    caption = "The longest tokens (␣ is a space, ↵ the end of a line)"
    return Table(caption, ("token", "bytes"), rows, numeric=(1,), code=(0,))
