"""Pages and tables of evaluations: answers side by side, judge scores, classifiers, losses on data sets."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bytemill.evaluate.answers import RESPONSE, expected_answer_of, question_of
from bytemill.evaluate.lengths import LENGTH_COLUMNS, AnswerLengths
from bytemill.evaluate.prompts import EXPECTED_ANSWER
from bytemill.report.blocks import Block, Comparison, Figure, KeyFigures, Prose, Table
from bytemill.report.classes import classes_blocks, classes_figures
from bytemill.report.figures import count, decimal
from bytemill.report.page import Page, Section
from bytemill.report.verdict import classifier_verdict, judge_verdict, matrix_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.evaluate.classification import ClassificationReport
    from bytemill.evaluate.judge import Scores
    from bytemill.evaluate.matrix import LossMatrix
    from bytemill.evaluate.prompts import PromptTable

__all__ = ["classes_page", "judge_markdown", "judge_page", "matrix_page", "prompts_page"]

_MAX_ROWS_SHOWN = 50


def prompts_page(table: PromptTable, *, provenance: str = "") -> Page:
    """Return a page with all models' answers to each prompt side by side."""
    blocks: list[Block] = []
    for number, prompt in enumerate(table.prompts, start=1):
        columns = [(name, answers[number - 1]) for name, answers in table.answers.items()]
        if prompt.expected_answer:
            columns.insert(0, (EXPECTED_ANSWER, prompt.expected_answer))
        blocks.append(Comparison(f"Prompt {number}", tuple(columns), question=prompt.label))
    lengths = table.lengths()
    means = ", ".join(f"`{name}` {decimal(one.mean, 1)}" for name, one in lengths.items())
    return Page(
        f"Answers of {_counted(len(table.answers), 'model')} to {_counted(len(table.prompts), 'prompt')}",
        f"Mean length of the answers in words: {means}. Whether they are good is for you to read, or for a judge.",
        (Section("Prompts", tuple(blocks)), Section("Lengths", (_lengths_table(lengths),))),
        kicker="bytemill eval prompts",
        provenance=provenance,
    )


def matrix_page(matrix: LossMatrix, *, provenance: str = "") -> Page:
    """Return a page with the losses of all models on all data sets; the best of each data set is marked."""
    header = ("model", *(f"{one.name} ({count(one.n_rows)} rows)" for one in matrix.data_sets))
    rows = tuple((name, *(decimal(loss, 4) for loss in losses)) for name, losses in matrix.losses.items())
    models = list(matrix.losses)
    best = []
    for column in range(len(matrix.data_sets)):
        finite = {i: matrix.losses[name][column] for i, name in enumerate(models)}
        finite = {i: loss for i, loss in finite.items() if math.isfinite(loss)}
        best += [(min(finite, key=lambda i: finite[i]), column + 1)] if len(finite) > 1 else []
    numeric = tuple(range(1, len(header)))
    caption = "Mean loss in nats per token; the lowest of each data set is marked"
    table = Table(caption, header, rows, numeric=numeric, best=tuple(best))
    used = Prose("\n\n".join(f"{one.name}: {one.encoded.report()}." for one in matrix.data_sets))
    return Page(
        f"Losses of {_counted(len(models), 'model')} on {_counted(len(matrix.data_sets), 'data set')}",
        matrix_verdict([one.name for one in matrix.data_sets], matrix.losses),
        (Section("Losses", (table,)), Section("Rows", (used,))),
        kicker="bytemill eval matrix",
        provenance=provenance,
    )


def classes_page(found: ClassificationReport, *, model: str, data: str, provenance: str = "") -> Page:
    """Return a page on a classifier: accuracy, F1, the confusion matrix, the texts with the highest loss."""
    figures = {**found.as_json(), "labels": found.score.labels, "test_macro_f1": found.score.macro_f1}
    return Page(
        f"Classifier {model} on {data}",
        classifier_verdict(found.score.labels, found.score.confusion.tolist()),
        (Section("Results", tuple(classes_blocks(figures))), Section("Rows", (Prose(found.rows),))),
        kicker="bytemill eval classify",
        summary=(KeyFigures((*classes_figures(figures), Figure(decimal(found.loss, 3), "loss", "nats per text"))),),
        provenance=provenance,
    )


def judge_markdown(scores: Mapping[str, Scores]) -> str:
    """Return a table of mean scores in Markdown, ending in a line break."""
    header, rows = _judge_table(scores)
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def judge_page(
    rubric: str,
    judge: str,
    rows: Mapping[str, Sequence[Mapping[str, Any]]],
    scores: Mapping[str, Scores],
    *,
    provenance: str = "",
) -> Page:
    """Return a page with mean scores, and scored answers side by side if the files have the same instructions.

    Args:
        rubric: Name of the rubric.
        judge: Name of the judge.
        rows: Answers by file.
        scores: The judge's scores by file.
        provenance: Line on date, command and machine.
    """
    header, table = _judge_table(scores)
    best = max(scores, key=lambda name: scores[name].mean or 0)
    marked = ((list(scores).index(best), 1),) if len(scores) > 1 and scores[best].mean else ()
    numeric = tuple(range(1, len(header)))
    means = Table(f"Mean {rubric}, 0 to 100", header, tuple(table), numeric=numeric, best=marked)
    n_scored = {name: sum(score is not None for score in one.scores) for name, one in scores.items()}
    return Page(
        f"Scores for {rubric}: {_counted(len(scores), 'set')} of answers, judged by {judge}",
        judge_verdict(rubric, judge, {name: one.mean for name, one in scores.items()}, n_scored),
        (Section("Means", (means,)), Section("Answers", tuple(_judged(rows, scores)))),
        kicker="bytemill eval judge",
        provenance=provenance,
    )


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


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
