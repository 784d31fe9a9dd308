"""Pages and tables of evaluations: answers side by side, judge scores, classifiers, losses on data sets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bytemill.evaluate.answers import RESPONSE, expected_answer_of, question_of
from bytemill.evaluate.lengths import LENGTH_COLUMNS, AnswerLengths
from bytemill.evaluate.prompts import EXPECTED_ANSWER
from bytemill.report.figures import decimal
from bytemill.report.page import Block, Comparison, Page, Prose, Section, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.evaluate.classification import ClassificationReport
    from bytemill.evaluate.judge import Scores
    from bytemill.evaluate.matrix import LossMatrix
    from bytemill.evaluate.prompts import PromptTable

__all__ = ["classes_page", "judge_markdown", "judge_page", "matrix_page", "prompts_page"]

_FOOTER = "Written by bytemill. This page is one file: it loads nothing, and you can send it as it is."
_MAX_ROWS_SHOWN = 50


def prompts_page(table: PromptTable) -> Page:
    """Return a page with all models' answers to each prompt side by side."""
    blocks: list[Block] = []
    for number, prompt in enumerate(table.prompts, start=1):
        columns = [(name, answers[number - 1]) for name, answers in table.answers.items()]
        if prompt.expected_answer:
            columns.insert(0, (EXPECTED_ANSWER, prompt.expected_answer))
        blocks.append(Comparison(f"Prompt {number}", tuple(columns), question=prompt.label))
    lead = f"{len(table.answers)} models answer {len(table.prompts)} prompts: {', '.join(table.answers)}."
    sections = (Section("Prompts", tuple(blocks)), Section("Lengths", (_lengths_table(table.lengths()),)))
    return Page("Answers", lead, sections, kicker="bytemill eval prompts", footer=_FOOTER)


def matrix_page(matrix: LossMatrix) -> Page:
    """Return a page with the losses of all models on all data sets."""
    header = ("model", *(f"{one.name} ({one.n_rows} rows)" for one in matrix.data_sets))
    rows = tuple((name, *(decimal(loss, 4) for loss in losses)) for name, losses in matrix.losses.items())
    table = Table("Mean loss in nats per token", header, rows, numeric=tuple(range(1, len(header))))
    best = [min(matrix.losses, key=lambda name: matrix.losses[name][i]) for i in range(len(matrix.data_sets))]
    listed = ", ".join(f"{one.name}: `{name}`" for one, name in zip(matrix.data_sets, best, strict=True))
    what = Prose(
        f"Lower is better. Lowest loss on {listed}.\n\nTuning on one kind of text often raises the loss on others."
    )
    return Page(
        "Losses of models on data sets",
        f"{len(matrix.losses)} models, {len(matrix.data_sets)} data sets, the same rows for all models.",
        (Section("Losses", (table, what)),),
        kicker="bytemill eval matrix",
        footer=_FOOTER,
    )


def classes_page(found: ClassificationReport, *, model: str, data: str) -> Page:
    """Return a page on a classifier: metrics per class, the confusion matrix, the texts with the highest loss."""
    figures = tuple(
        (one["label"], *(decimal(one[name], 4) for name in ("precision", "recall", "f1")), f"{one['n_rows']:,}")
        for one in found.classes()
    )
    labels = found.score.labels
    counts = tuple(
        (label, *(f"{count:,}" for count in given))
        for label, given in zip(labels, found.score.confusion.tolist(), strict=True)
    )
    worst = tuple(
        (decimal(one.loss, 4), str(one.row), one.label, one.given, decimal(one.probability, 4), one.text)
        for one in found.worst
    )
    blocks: list[Block] = [
        Table("Classes", ("class", "precision", "recall", "F1", "rows"), figures, numeric=(1, 2, 3, 4)),
        Table("Confusion matrix", ("true class", *labels), counts, numeric=tuple(range(1, len(labels) + 1))),
    ]
    if worst:
        header = ("loss", "row", "true class", "predicted class", "its probability", "text")
        blocks.append(Table("Texts with the highest loss, in nats", header, worst, numeric=(0, 1, 4)))
    accuracy, macro_f1 = decimal(found.score.accuracy, 4), decimal(found.score.macro_f1, 4)
    return Page(
        "Classes",
        f"`{model}` on `{data}`: accuracy {accuracy}, macro F1 {macro_f1}, {found.n_rows:,} rows.",
        (Section("Figures", tuple(blocks)), Section("Rows", (Prose(found.rows),))),
        kicker="bytemill eval classify",
        footer=_FOOTER,
    )


def judge_markdown(scores: Mapping[str, Scores]) -> str:
    """Return a table of mean scores in Markdown, ending in a line break."""
    header, rows = _judge_table(scores)
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def judge_page(
    rubric: str, judge: str, rows: Mapping[str, Sequence[Mapping[str, Any]]], scores: Mapping[str, Scores]
) -> Page:
    """Return a page with mean scores, and scored answers side by side if the files have the same instructions.

    Args:
        rubric: Name of the rubric.
        judge: Name of the judge.
        rows: Answers by file.
        scores: The judge's scores by file.
    """
    header, table = _judge_table(scores)
    means = Table(f"Mean {rubric}, 0 to 100", header, tuple(table), numeric=tuple(range(1, len(header))))
    ranked = sorted(scores, key=lambda name: scores[name].mean or -math.inf, reverse=True)
    lead = f"`{judge}` gives `{ranked[0]}` the highest mean {rubric}: {_points(scores[ranked[0]].mean)} of 100."
    sections = [Section("Means", (means,)), Section("Answers", tuple(_judged(rows, scores)))]
    return Page(f"Scores: {rubric}", lead, tuple(sections), kicker="bytemill eval judge", footer=_FOOTER)


def _judge_table(scores: Mapping[str, Scores]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    header = ("answers", "mean", "rows", "scored", "no score in the reply", "server failed", *LENGTH_COLUMNS)
    rows = []
    for name, one in scores.items():
        found = one.as_json()
        counts = (str(found[key]) for key in ("n_rows", "n_scored", "n_unparsed", "n_failed"))
        rows.append((name, _points(one.mean), *counts, *one.lengths.cells()))
    return header, rows


def _lengths_table(lengths: Mapping[str, AnswerLengths]) -> Table:
    rows = tuple((name, *one.cells()) for name, one in lengths.items())
    return Table("Lengths of the answers", ("answers", *LENGTH_COLUMNS), rows, numeric=(1, 2, 3, 4))


def _judged(rows: Mapping[str, Sequence[Mapping[str, Any]]], scores: Mapping[str, Scores]) -> list[Block]:
    """Return a block per row of the first file, with the answers of all files that have the same question there."""
    first = next(iter(rows.values()))
    blocks: list[Block] = []
    for i, row in enumerate(first[:_MAX_ROWS_SHOWN]):
        question, expected = question_of(row), expected_answer_of(row)
        columns = [(EXPECTED_ANSWER, expected)] if expected else []
        for name, others in rows.items():
            if i < len(others) and question_of(others[i]) == question:
                columns.append((f"{name}: {_points(scores[name].scores[i])}", str(others[i][RESPONSE])))
        blocks.append(Comparison(f"Row {i + 1}", tuple(columns), question=question))
    if len(first) > _MAX_ROWS_SHOWN:
        blocks.append(Prose(f"{len(first) - _MAX_ROWS_SHOWN} more rows are in the files."))
    return blocks


def _points(score: float | None) -> str:
    return "–" if score is None else decimal(score, 1)
