"""What counting words does with SMS spam: a logistic regression, on the rows that `finetune classify` parts.

A language model has to do better than this baseline. Words and pairs of neighbours, lower-cased,
each by whether it occurs; L2-regularised logistic regression by Newton's conjugate gradients, in numpy alone. The
regularisation is chosen on the validation rows.

    python examples/04_tuning/count_words.py ../shared/data/sms_spam/SMSSpamCollection
"""

from __future__ import annotations

import argparse
import re
from itertools import pairwise

import numpy as np

from bytemill.data.rows import read_rows, split_rows, undersampled
from bytemill.data.rows.labels import label_names
from bytemill.evaluate.classification import ClassificationScore, classification_score

STRENGTHS = (0.01, 0.1, 1.0, 10.0)


def main() -> None:
    """Learn from the training rows, choose on the validation rows, measure on the test rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path")
    parser.add_argument("--seed", type=int, default=0, help="of the split, as data.seed")
    options = parser.parse_args()
    rows = undersampled(read_rows(options.path, ["text", "label"]), seed=options.seed)
    parts = split_rows(rows, (0.7, 0.1, 0.2), seed=options.seed)
    labels = label_names(parts[0])
    vocabulary = {word: place for place, word in enumerate(sorted({w for row in parts[0] for w in words(row["text"])}))}
    (x, y), validation, test = (encoded(part, vocabulary, labels) for part in parts)
    scores = {}
    for strength in STRENGTHS:
        weights = fitted(x, y, strength)
        scores[strength] = (measured(weights, *validation, labels).accuracy, weights)
    best = max(STRENGTHS, key=lambda strength: scores[strength][0])
    score = measured(scores[best][1], *test, labels)
    print(f"{len(vocabulary):,} words and pairs, {len(y):,} training rows, L2 {best}")
    print(score.table())
    print(f"test accuracy: {score.accuracy:.4f}, macro F1 {score.macro_f1:.4f}, {len(parts[2]):,} rows")


def words(text: str) -> list[str]:
    """Words, numbers by their length, and pairs of neighbours."""
    found = [f"<{len(w)} digits>" if w.isdigit() else w for w in re.findall(r"\w+|[£$!?]", text.lower())]
    return found + [f"{one} {other}" for one, other in pairwise(found)]


def encoded(rows: list, vocabulary: dict[str, int], labels: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """(rows, words + 1) of zeros and ones, the last column a one for the bias; and the labels' numbers."""
    table = np.zeros((len(rows), len(vocabulary) + 1), dtype=np.float32)
    table[:, -1] = 1
    for i, row in enumerate(rows):
        table[i, [vocabulary[word] for word in words(row["text"]) if word in vocabulary]] = 1
    return table, np.array([labels.index(row["label"]) for row in rows], dtype=np.float32)


def fitted(x: np.ndarray, y: np.ndarray, strength: float, n_steps: int = 8) -> np.ndarray:
    """Weights of least mean loss + strength / (2 N) * |weights|², by Newton steps."""
    weights = np.zeros(x.shape[1], dtype=x.dtype)
    penalty = np.full(x.shape[1], strength / len(y), dtype=x.dtype)
    penalty[-1] = 0
    for _ in range(n_steps):
        p = 1 / (1 + np.exp(-(x @ weights)))
        gradient = x.T @ (p - y) / len(y) + penalty * weights
        curvature = p * (1 - p) / len(y)
        weights = weights - solved(lambda v, c=curvature: x.T @ (c * (x @ v)) + penalty * v, gradient)
    return weights


def solved(matrix: object, right: np.ndarray, n_steps: int = 30) -> np.ndarray:
    """What `matrix` turns into `right`, by conjugate gradients."""
    v, rest = np.zeros_like(right), right.copy()
    direction, norm = rest.copy(), right @ right
    for _ in range(n_steps):
        if norm < 1e-12:
            break
        image = matrix(direction)
        length = norm / (direction @ image)
        v += length * direction
        rest -= length * image
        norm, last = rest @ rest, norm
        direction = rest + norm / last * direction
    return v


def measured(weights: np.ndarray, x: np.ndarray, y: np.ndarray, labels: tuple[str, ...]) -> ClassificationScore:
    """How well these weights tell the rows apart."""
    return classification_score(
        labels, zip(y.astype(int).tolist(), (x @ weights > 0).astype(int).tolist(), strict=True)
    )


if __name__ == "__main__":
    main()
