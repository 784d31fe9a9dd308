"""How well classes are told apart: accuracy, F1, and which are taken for which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = ["ClassificationScore", "classification_score"]


@dataclass(frozen=True)
class ClassificationScore:
    """Counts of (true class, given class), from which all measures follow.

    >>> score = ClassificationScore(("ham", "spam"), np.array([[8, 2], [1, 9]]))
    >>> score.accuracy, [round(f1, 3) for f1 in score.f1]
    (0.85, [0.842, 0.857])
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    """(K, K): row the true class, column the given one."""

    @property
    def accuracy(self) -> float:
        """Share of the texts that were given their class."""
        return float(np.trace(self.confusion) / self.confusion.sum())

    @property
    def f1(self) -> list[float]:
        """Of each class, the harmonic mean of precision and recall; 0 where the class neither is nor is given."""
        right = np.diag(self.confusion)
        involved = self.confusion.sum(axis=0) + self.confusion.sum(axis=1)
        return [float(2 * r / n) if n else 0.0 for r, n in zip(right, involved, strict=True)]

    @property
    def macro_f1(self) -> float:
        """Mean of the classes' F1, however rare they are."""
        return float(np.mean(self.f1))

    def as_metrics(self, prefix: str = "val_") -> dict[str, float]:
        """The figures by name, the confusion matrix cell by cell, as the loop logs them."""
        cells = {
            f"{prefix}{true}_as_{given}": float(self.confusion[i, j])
            for i, true in enumerate(self.labels)
            for j, given in enumerate(self.labels)
        }
        f1 = {f"{prefix}f1_{label}": value for label, value in zip(self.labels, self.f1, strict=True)}
        return {f"{prefix}accuracy": self.accuracy, f"{prefix}macro_f1": self.macro_f1, **f1, **cells}

    def table(self) -> str:
        """The confusion matrix for people, true classes downwards."""
        width = max(6, *map(len, self.labels))
        head = " " * width + "".join(f"  {label:>{width}}" for label in self.labels) + f"  {'F1':>{width}}"
        rows = [
            f"{label:>{width}}" + "".join(f"  {count:>{width},}" for count in counts) + f"  {f1:>{width}.4f}"
            for label, counts, f1 in zip(self.labels, self.confusion.tolist(), self.f1, strict=True)
        ]
        return "\n".join([head, *rows])


def classification_score(labels: Sequence[str], pairs: Iterable[tuple[int, int]]) -> ClassificationScore:
    """Count (true class, given class)."""
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for true, given in pairs:
        confusion[true, given] += 1
    return ClassificationScore(tuple(labels), confusion)
