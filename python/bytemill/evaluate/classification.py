"""Classification metrics: accuracy, F1 and the confusion matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["ClassificationReport", "ClassificationScore", "ScoredText", "classification_score"]


@dataclass(frozen=True)
class ClassificationScore:
    """Counts of (true class, predicted class), and the metrics computed from them.

    >>> score = ClassificationScore(("ham", "spam"), np.array([[8, 2], [1, 9]]))
    >>> score.accuracy, [round(f1, 3) for f1 in score.f1]
    (0.85, [0.842, 0.857])
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    """(K, K): rows are true classes, columns predicted classes."""

    @property
    def accuracy(self) -> float:
        """Fraction of texts whose class was predicted correctly."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def f1(self) -> list[float]:
        """Per class, the harmonic mean of precision and recall; 0 for a class that is neither true nor predicted."""
        return _shares(2 * np.diag(self.confusion), self.confusion.sum(axis=0) + self.confusion.sum(axis=1))

    @property
    def macro_f1(self) -> float:
        """Unweighted mean of the classes' F1; like scikit-learn, it leaves out classes that never occur.

        A class counts if it is true or predicted for at least one text.

        >>> round(ClassificationScore(("a", "b", "c"), np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]])).macro_f1, 4)
        0.7333
        """
        involved = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        occurring = [f1 for f1, n in zip(self.f1, involved, strict=True) if n]
        return float(np.mean(occurring)) if occurring else 0.0

    @property
    def precision(self) -> list[float]:
        """Per class, the fraction of its predictions that are correct; 0 if it is never predicted."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def recall(self) -> list[float]:
        """Per class, the fraction of its texts that are predicted correctly; 0 if it has no texts."""
        return _shares(np.diag(self.confusion), self.confusion.sum(axis=1))

    def as_metrics(self, prefix: str = "val_") -> dict[str, float]:
        """Return the metrics by the names that the training loop logs, with one entry per confusion matrix cell."""
        cells = {
            f"{prefix}{true}_as_{given}": float(self.confusion[i, j])
            for i, true in enumerate(self.labels)
            for j, given in enumerate(self.labels)
        }
        f1 = {f"{prefix}f1_{label}": value for label, value in zip(self.labels, self.f1, strict=True)}
        return {f"{prefix}accuracy": self.accuracy, f"{prefix}macro_f1": self.macro_f1, **f1, **cells}

    def table(self) -> str:
        """Return the confusion matrix as a text table, with one row per true class."""
        width = max(6, *map(len, self.labels))
        head = " " * width + "".join(f"  {label:>{width}}" for label in self.labels) + f"  {'F1':>{width}}"
        rows = [
            f"{label:>{width}}" + "".join(f"  {count:>{width},}" for count in counts) + f"  {f1:>{width}.4f}"
            for label, counts, f1 in zip(self.labels, self.confusion.tolist(), self.f1, strict=True)
        ]
        return "\n".join([head, *rows])


@dataclass(frozen=True)
class ScoredText:
    """The prediction for one labelled text."""

    row: int
    """Row number, from 1."""
    text: str
    label: str
    given: str
    """The predicted class, which is the most probable one."""
    probability: float
    """Probability of the predicted class."""
    loss: float
    """-ln of the probability of the true class, in nats."""


@dataclass(frozen=True)
class ClassificationReport:
    """Metrics of a classifier on labelled texts, and the texts with the highest loss."""

    score: ClassificationScore
    loss: float
    """Mean loss over the texts, in nats."""
    worst: tuple[ScoredText, ...]
    """The texts with the highest loss, highest first."""
    rows: str
    """One sentence that says how many rows were used."""

    @property
    def n_rows(self) -> int:
        """Number of classified texts."""
        return int(self.score.confusion.sum())

    def classes(self) -> list[dict[str, Any]]:
        """Return label, precision, recall, F1 and number of texts per class."""
        score = self.score
        columns = zip(
            score.labels, score.precision, score.recall, score.f1, score.confusion.sum(axis=1).tolist(), strict=True
        )
        return [dict(zip(("label", "precision", "recall", "f1", "n_rows"), one, strict=True)) for one in columns]

    def as_json(self) -> dict[str, Any]:
        """Return JSON data; rows of `confusion` are true classes, columns predicted ones, in the order of `classes`."""
        return {
            "n_rows": self.n_rows,
            "accuracy": self.score.accuracy,
            "macro_f1": self.score.macro_f1,
            "loss": self.loss,
            "classes": self.classes(),
            "confusion": self.score.confusion.tolist(),
            "worst": [asdict(one) for one in self.worst],
            "rows": self.rows,
        }

    def as_text(self) -> str:
        """Return tables for a terminal, without a line break at the end."""
        score, classes = self.score, self.classes()
        figures = [
            [one["label"], *(f"{one[name]:.4f}" for name in ("precision", "recall", "f1")), f"{one['n_rows']:,}"]
            for one in classes
        ]
        counts = [
            [label, *(f"{count:,}" for count in given)]
            for label, given in zip(score.labels, score.confusion.tolist(), strict=True)
        ]
        parts = [
            f"accuracy: {score.accuracy:.4f}, macro F1 {score.macro_f1:.4f}, loss {self.loss:.4f}, {self.n_rows} rows",
            _aligned([["class", "precision", "recall", "F1", "rows"], *figures]),
            _aligned([["true, given:", *score.labels], *counts]),
        ]
        if self.worst:
            shown = [
                [f"{one.loss:.4f}", f"row {one.row}", f"{one.label} as {one.given}", one.text] for one in self.worst
            ]
            parts.append("highest loss:\n" + "\n".join("  ".join(cells) for cells in shown))
        return "\n\n".join(parts)


def classification_score(labels: Sequence[str], pairs: Iterable[tuple[int, int]]) -> ClassificationScore:
    """Count pairs of (true class, predicted class)."""
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for true, given in pairs:
        confusion[true, given] += 1
    return ClassificationScore(tuple(labels), confusion)


def _shares(parts: NDArray[np.int64], wholes: NDArray[np.int64]) -> list[float]:
    return [float(part / whole) if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]


def _aligned(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of right-aligned columns, each as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
