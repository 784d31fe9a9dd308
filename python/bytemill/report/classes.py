"""Figures and tables of a classifier: accuracy, F1, the confusion matrix with shares, texts with the highest loss."""

from collections.abc import Mapping, Sequence
from typing import Any

from bytemill.errors import DataError
from bytemill.report.blocks import Block, Figure, Table
from bytemill.report.figures import count, decimal, percent

__all__ = ["classes_blocks", "classes_figures"]

_MAX_TEXT_CHARACTERS = 300


def classes_figures(found: Mapping[str, Any]) -> list[Figure]:
    """Return the key figures of a run's test.json."""
    confusion = found["confusion"]
    n_rows = sum(map(sum, confusion))
    n_right = sum(row[i] for i, row in enumerate(confusion))
    figures = [
        Figure(
            percent(n_right / n_rows if n_rows else 0), "test accuracy", f"{count(n_right)} of {count(n_rows)} texts"
        )
    ]
    if isinstance(found.get("test_macro_f1"), int | float):
        figures.append(Figure(decimal(found["test_macro_f1"], 3), "macro F1", "mean of the classes' F1"))
    before, after = found.get("train_accuracy_before"), found.get("train_accuracy")
    if isinstance(before, int | float) and isinstance(after, int | float):
        figures.append(Figure(f"{percent(before)} → {percent(after)}", "training accuracy", "before and after tuning"))
    return figures


def classes_blocks(found: Mapping[str, Any]) -> list[Block]:
    """Return the confusion matrix, the metrics of each class, and the texts with the highest loss.

    Args:
        found: labels; confusion, counts of true classes (rows) and predicted classes (columns); perhaps worst, a list
            of texts as in `ScoredText`.

    Raises:
        DataError: The counts do not fit the labels.
    """
    labels, confusion = found["labels"], found["confusion"]
    if len(confusion) != len(labels) or any(len(row) != len(labels) for row in confusion):
        raise DataError(f"the confusion matrix of {len(confusion)} rows does not fit {len(labels)} labels")
    blocks: list[Block] = [_confusion(labels, confusion), _classes(labels, confusion)]
    worst = found.get("worst")
    return [*blocks, _worst(worst)] if isinstance(worst, list) and worst else blocks


def _confusion(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> Table:
    rows = tuple(
        (
            f"true: {label}",
            *(f"{count(n)}  ({percent(n / sum(row))})" if sum(row) else "0" for n in row),
            count(sum(row)),
        )
        for label, row in zip(labels, confusion, strict=True)
    )
    header = ("", *(f"predicted: {label}" for label in labels), "texts")
    best = tuple((i, i + 1) for i in range(len(labels)))
    numeric = tuple(range(1, len(header)))
    return Table("Confusion matrix, with the share of each true class", header, rows, numeric=numeric, best=best)


def _classes(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> Table:
    rows = []
    for i, label in enumerate(labels):
        right, true, given = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
        precision, recall = (right / whole if whole else 0.0 for whole in (given, true))
        f1 = 2 * right / (true + given) if true + given else 0.0
        rows.append((label, decimal(f1, 4), decimal(precision, 4), decimal(recall, 4), count(true)))
    return Table("Classes", ("class", "F1", "precision", "recall", "texts"), tuple(rows), numeric=(1, 2, 3, 4))


def _worst(worst: Sequence[Mapping[str, Any]]) -> Table:
    rows = tuple(
        (
            str(one.get("row", "")),
            str(one.get("label", "")),
            str(one.get("given", "")),
            percent(float(one.get("probability", 0))),
            decimal(float(one.get("loss", 0)), 3),
            _short(str(one.get("text", ""))),
        )
        for one in worst
    )
    header = ("row", "true class", "predicted class", "its probability", "loss", "text")
    return Table("Texts with the highest loss, in nats", header, rows, numeric=(3, 4))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT_CHARACTERS else f"{text[: _MAX_TEXT_CHARACTERS - 1]}…"
