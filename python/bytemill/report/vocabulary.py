"""A page about a vocabulary: how well it covers text it has not seen, and how that grew with its size."""

import json
import os
from pathlib import Path

from bytemill.errors import ArgumentError
from bytemill.files import write_text
from bytemill.report.figures import count, decimal, percent, size, token_text
from bytemill.report.page import Details, Figure, KeyFigures, Page, Plot, Prose, Section, Table, write_page
from bytemill.report.plots import Line, curves
from bytemill.tokenizer import TrainingReport

__all__ = ["check_report_name", "vocabulary_markdown", "vocabulary_page", "write_vocabulary_report"]


def check_report_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name whose ending tells no form, before long work begins.

    >>> check_report_name("report.pdf")
    Traceback (most recent call last):
    bytemill.errors.ArgumentError: the report is report.pdf, expected a name that ends in .html, .md or .json
    """
    if Path(path).suffix not in (".html", ".md", ".json"):
        raise ArgumentError(f"the report is {path}, expected a name that ends in .html, .md or .json")


def write_vocabulary_report(report: TrainingReport, path: str | os.PathLike[str]) -> Path:
    """Write the report as its name ends: .html, .md or .json."""
    check_report_name(path)
    path = Path(path)
    if path.suffix == ".html":
        return write_page(vocabulary_page(report), path)
    text = vocabulary_markdown(report) if path.suffix == ".md" else json.dumps(report.as_dict(), indent=2) + "\n"
    write_text(path, text)
    return path


def vocabulary_page(report: TrainingReport) -> Page:
    """The report as a page."""
    lead = (
        f"A vocabulary of {count(report.n_vocab)} ids says {decimal(report.bytes_per_token)} bytes of new text with "
        f"each token; {percent(report.unused_share)} of what it learnt that text never uses."
    )
    figures = KeyFigures(
        (
            Figure(count(report.n_vocab), "ids", f"{count(report.n_learnt)} of them learnt"),
            Figure(decimal(report.bytes_per_token, 3), "bytes a token", f"on {size(report.held_out_bytes)} held out"),
            Figure(percent(report.unused_share), "never used", f"{count(report.n_unused)} learnt tokens"),
        )
    )
    about = Prose("""
        Every figure is measured on text that was held out of training. A learnt token that it never uses is not
        useless: it may belong to words that this text happens not to hold.
    """)
    growth = (_growth_plot(report),) if len(report.growth) > 1 else ()
    longest = Details("The longest tokens", (_longest(report),))
    return Page(
        "What the vocabulary learnt", lead, (Section("On new text", (about, *growth, longest)),), "", (figures,)
    )


def vocabulary_markdown(report: TrainingReport) -> str:
    """The report as Markdown."""
    growth = "".join(f"| {count(n_ids)} | {decimal(value, 3)} |\n" for n_ids, value in report.growth)
    rows = [(token_text(token).replace("|", r"\|"), len(token)) for token in report.longest_tokens]
    tokens = "".join(f"| `{text}` | {n_bytes} |\n" for text, n_bytes in rows)
    return (
        f"# What the vocabulary learnt\n\n{count(report.n_vocab)} ids, {count(report.n_learnt)} of them learnt, "
        f"measured on {size(report.held_out_bytes)} of held-out text: {decimal(report.bytes_per_token, 3)} bytes a "
        f"token; {percent(report.unused_share)} of the learnt tokens are never used on it.\n\n"
        f"| ids | bytes a token |\n|---:|---:|\n{growth}\n| longest tokens | bytes |\n|---|---:|\n{tokens}"
    )


def _growth_plot(report: TrainingReport) -> Plot:
    rows = tuple((count(n_ids), decimal(value, 3)) for n_ids, value in report.growth)
    sizes, values = [n_ids for n_ids, _ in report.growth], [value for _, value in report.growth]
    drawing = curves(
        "vocabulary-growth",
        [Line("bytes a token", sizes, values, marked=True)],
        x_label="ids in the vocabulary",
        y_label="bytes a token, on held-out text",
        x_log2=True,
        y_from_zero=True,
        alt="Bytes a token over ids: " + ", ".join(f"{value} with {n_ids}" for n_ids, value in rows) + ".",
    )
    return Plot(
        "Each doubling brings less",
        drawing,
        what="Each dot is the vocabulary cut off at that size: the same run would have given it.",
        good="Higher means shorter sequences. Where the curve is flat, more ids only make the model's table larger.",
        numbers=Table("Bytes a token by size", ("ids", "bytes a token"), rows, numeric=(0, 1)),
    )


def _longest(report: TrainingReport) -> Table:
    rows = tuple((token_text(token), count(len(token))) for token in report.longest_tokens)
    caption = "The longest tokens (␣ is a space, ↵ the end of a line)"
    return Table(caption, ("token", "bytes"), rows, numeric=(1,), code=(0,))
