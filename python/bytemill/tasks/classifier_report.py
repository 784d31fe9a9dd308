"""Measures a trained classifier on labelled rows of any file, and on its training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bytemill.data.rows import LabelledRows, encode_labelled
from bytemill.evaluate.classification import ClassificationReport, ScoredText, classification_score
from bytemill.tasks.classify import in_eval_mode, score_classifier, scored_batches
from bytemill.train.machine.device import pick_device
from bytemill.train.machine.distributed import World

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.model.classifier import Classifier
    from bytemill.tasks.row_parts import Rows
    from bytemill.train.config import RunConfig

__all__ = ["classification_report", "decoded_texts", "report_on_rows", "training_accuracy"]


def classification_report(
    model: Classifier,
    rows: Rows,
    tokenizer: Any,
    *,
    max_tokens: int,
    batch_size: int = 8,
    n_worst: int = 10,
) -> ClassificationReport:
    """Classify labelled rows and return the metrics; see `ClassificationReport`.

    Args:
        model: From `load_classifier`.
        rows: Mappings with the keys `text` and `label`; rows with labels unknown to the model are not used.
        tokenizer: The model's tokenizer.
        max_tokens: From `load_classifier`.
        batch_size: Rows per batch.
        n_worst: Number of texts with the highest loss to include.

    Raises:
        DataError: No row can be used; the error says why.
    """
    encoded = encode_labelled(rows, tokenizer, labels=model.labels, max_tokens=max_tokens)
    texts = [str(row["text"]) for row in rows]
    return report_on_rows(model, encoded, texts, batch_size=batch_size, pad_id=tokenizer.eot_token, n_worst=n_worst)


def report_on_rows(
    model: Classifier, rows: LabelledRows, texts: Sequence[str], *, batch_size: int, pad_id: int, n_worst: int = 10
) -> ClassificationReport:
    """Classify encoded rows and return the metrics; see `ClassificationReport`.

    Args:
        model: Classifier with the labels of the rows.
        rows: At least one row.
        texts: Text of each row, by its `place`.
        batch_size: Rows per batch.
        pad_id: Id that pads short rows.
        n_worst: Number of texts with the highest loss to include.
    """
    log_probabilities = []
    with in_eval_mode(model):
        for scores, _ in scored_batches(model, rows.rows, batch_size, pad_id):
            log_probabilities.append(scores.log_softmax(dim=1).cpu())
    found = torch.cat(log_probabilities)
    true = torch.tensor([row.label for row in rows.rows])
    losses, best = -found[torch.arange(len(true)), true], found.max(dim=1)
    order = losses.argsort(descending=True, stable=True)[:n_worst].tolist()
    worst = [
        ScoredText(
            row=rows.rows[i].place + 1,
            text=texts[rows.rows[i].place],
            label=model.labels[int(true[i])],
            given=model.labels[int(best.indices[i])],
            probability=float(best.values[i].exp()),
            loss=float(losses[i]),
        )
        for i in order
    ]
    score = classification_score(model.labels, zip(true.tolist(), best.indices.tolist(), strict=True))
    return ClassificationReport(score, float(losses.double().mean()), tuple(worst), rows.report())


def decoded_texts(rows: LabelledRows, tokenizer: Any) -> list[str]:
    """Return the text of each encoded row by its `place`, as the model sees it: truncated, without end of text."""
    texts = [""] * (1 + max(row.place for row in rows.rows))
    for row in rows.rows:
        texts[row.place] = tokenizer.decode(row.ids[:-1].tolist())
    return texts


def training_accuracy(model: Any, rows: LabelledRows, config: RunConfig, *, pad_id: int) -> float | None:
    """Return the accuracy on the training rows; None if `train.eval_every` is 0, which turns measurements off.

    `data.eval_batches` limits the rows, as in validation.
    """
    if not config.train.eval_every:
        return None
    model.to(pick_device(config.train.device, local_rank=World.from_environment().local_rank))
    score, _ = score_classifier(model, rows, config.data, pad_id=pad_id, n_batches=config.data.eval_batches)
    return score.accuracy
