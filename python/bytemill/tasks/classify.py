"""Trains a language model to classify texts: its head, its last block, LoRA adapters, or all weights.

The rows are split 70 / 10 / 20 into training, validation and test, unless `data.split` is given. Each text ends with
the end-of-text token, and a linear layer computes the class there. Texts are truncated to the length of the longest
training row.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
import torch.nn.functional as F

from bytemill.data.rows import LabelledRow, LabelledRows
from bytemill.data.rows.labels import LabelledBatches, collate_labelled
from bytemill.errors import DataError
from bytemill.evaluate.classification import ClassificationScore, classification_score
from bytemill.model.classifier import Classifier
from bytemill.progress import counted
from bytemill.tasks.base_model import adapt, body_at, merge_adapters, with_saved_weights
from bytemill.tasks.labelled_parts import ClassifyRows, labelled_rows
from bytemill.tasks.model_place import ModelPlace, find_model
from bytemill.tasks.prepared import (
    Prepared,
    SavedFields,
    model_for_rows,
    resolve_epochs,
    saved_fields,
    settled,
    with_rows,
)
from bytemill.train.config import DataConfig
from bytemill.train.machine.device import pick_device
from bytemill.train.machine.distributed import World
from bytemill.train.task import BatchLoss, Epoch, Task

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from bytemill.train.config import RunConfig

__all__ = [
    "ClassifyRows",
    "classify_rows",
    "classify_task",
    "classify_task_from_config",
    "classify_texts",
    "in_eval_mode",
    "labelled_rows",
    "load_classifier",
    "score_classifier",
    "scored_batches",
]


def classify_task(
    model: Classifier,
    rows: ClassifyRows,
    tokenizer: Any,
    *,
    weights: Sequence[float] | None = None,
    parameters: Sequence[torch.nn.Parameter] = (),
    data: DataConfig | None = None,
    world: World | None = None,
    **saved: Unpack[SavedFields],
) -> Task:
    """Return the task of training a classifier; validation measures loss, accuracy, F1 and the confusion matrix.

    Args:
        model: Classifier with the labels of the rows.
        rows: Rows for training, validation and test.
        tokenizer: The model's tokenizer.
        weights: Weight of each class in the loss; all 1 if None.
        parameters: Parameters to train; empty for all that require a gradient.
        data: Batch size and seed.
        world: The processes that share the rows; this one alone when None.
        **saved: What is saved with the weights; the fingerprint of the rows is added.
    """
    data, world, pad_id = data or DataConfig(), world or World(), tokenizer.eot_token
    class_weights = torch.ones(len(model.labels)) if weights is None else torch.tensor(weights)

    def loss(network: torch.nn.Module, batch: tuple[torch.Tensor, torch.Tensor, torch.Tensor]) -> BatchLoss:
        ids, ends, labels = batch
        scores = network(ids, ends).float()
        own = class_weights.to(scores.device)
        n_right = (scores.argmax(dim=1) == labels).sum()
        return BatchLoss(
            F.cross_entropy(scores, labels, weight=own, reduction="sum"),
            own[labels].sum(),
            {"accuracy": (n_right, len(labels))},  # independent of the class weights
        )

    def validate() -> dict[str, float]:
        if rows.validation is None:
            return {}
        score, mean = score_classifier(model, rows.validation, data, pad_id=pad_id)
        return {"val_loss": mean, **score.as_metrics()}

    return Task(
        model=model,
        parameters=parameters,
        hidden_matrices=[p for p in model.hidden_matrices() if p.requires_grad],
        batches=LabelledBatches(
            rows.train.rows,
            batch_size=data.batch_size,
            pad_id=pad_id,
            seed=data.seed,
            rank=world.rank,
            world_size=world.size,
        ),
        loss=loss,
        validate=validate,
        why_no_samples="a classifier writes no text",
        epoch=Epoch(len(rows.train.rows), "rows", batch_size=data.batch_size),
        outside_base=list(model.head.parameters()),
        **with_rows(saved, rows.train.fingerprint()),
    )


def classify_rows(config: RunConfig) -> ClassifyRows:
    """Return the rows of a configuration, as `classify_task_from_config` takes them.

    Raises:
        ConfigError: `data.path` is not given, nor a tokenizer, or `classify.names` does not fit the labels.
        DataError: The rows cannot be used.
    """
    return labelled_rows(*settled(config))


def classify_task_from_config(config: RunConfig, rows: ClassifyRows | None = None) -> Prepared:
    """Return the task that a configuration describes.

    Args:
        config: Its task is classify.
        rows: From `classify_rows`, where they are needed for more than training; None reads them.

    Raises:
        ConfigError: `data.path` or a tokenizer is missing, or a setting is invalid.
        DataError: The rows cannot be used, or the model was trained with another tokenizer.
    """
    config, tokenizer = settled(config)
    rows = labelled_rows(config, tokenizer) if rows is None else rows
    body, config = model_for_rows(config, tokenizer)
    model = Classifier(body, rows.train.labels)
    parameters = adapt(model, config.lora)
    if not parameters:
        model.train_only(config.classify.train_layers)
    elif isinstance(model.head, torch.nn.Linear):  # the head has no adapter and is random, so train its weights
        parameters += [parameter for parameter in model.head.parameters() if not parameter.requires_grad]
        model.head.requires_grad_(True)
    saved = saved_fields(config, body, tokenizer)
    saved["model_config"] = {
        **saved["model_config"],
        "labels": list(model.labels),
        "max_tokens": rows.train.longest,
    }
    task = classify_task(
        model,
        rows,
        tokenizer,
        weights=_weights(rows.train) if config.classify.imbalance == "weighted" else None,
        parameters=parameters,
        data=config.data,
        world=World.from_environment(),
        **saved,
    )
    return Prepared(task, resolve_epochs(config, n_rows=len(rows.train.rows)), rows.reports())


def score_classifier(
    model: Classifier, rows: LabelledRows, data: DataConfig, *, pad_id: int, n_batches: int = 0
) -> tuple[ClassificationScore, float]:
    """Classify each row once, in eval mode; return the counts and the mean loss in nats per row.

    Args:
        model: Classifier with the labels of the rows.
        rows: At least one row.
        data: Batch size.
        pad_id: Id that pads short rows.
        n_batches: Number of batches to measure, from the first; 0 for all.
    """
    pairs: list[tuple[int, int]] = []
    nats = 0.0
    with in_eval_mode(model):
        chosen = rows.rows[: n_batches * data.batch_size or None]
        for scores, labels in scored_batches(model, chosen, data.batch_size, pad_id):
            nats += float(F.cross_entropy(scores, labels, reduction="sum"))
            pairs += zip(labels.tolist(), scores.argmax(dim=1).tolist(), strict=True)
    return classification_score(rows.labels, pairs), nats / len(pairs)


def load_classifier(base: str | Path | ModelPlace, *, tokenizer_sha256: str | None = None) -> tuple[Classifier, int]:
    """Return a trained classifier with merged adapters on the default device, and the maximum tokens per text.

    Raises:
        DataError: `base` is not a classifier, or was trained with another tokenizer.
        CheckpointError: The checkpoint is damaged, or the run has no valid one.
    """
    place = base if isinstance(base, ModelPlace) else find_model(base)
    fields = place.fields
    if "labels" not in fields:
        raise DataError(f"{place.given}: not a run of `bytemill finetune classify`, and not a checkpoint of one")
    labels, max_tokens = fields["labels"], fields.get("max_tokens")
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels) or type(max_tokens) is not int:
        file = place.folder / "config.json"
        raise DataError(f"{file}: expected labels, a list of strings, and max_tokens, a whole number")
    place.refuse_other_tokenizer(tokenizer_sha256)
    model = with_saved_weights(Classifier(body_at(place), labels), place)
    return merge_adapters(model, fields).eval().to(pick_device()), max_tokens


@torch.no_grad()
def classify_texts(
    model: Classifier, tokenizer: Any, texts: Sequence[str], *, max_tokens: int
) -> list[dict[str, float]]:
    """Return the probability of each label, for each text."""
    ids = [[*tokenizer.encode_ordinary(text)[: max_tokens - 1], tokenizer.eot_token] for text in texts]
    rows = [LabelledRow(np.array(one, dtype=np.int64), 0) for one in ids]
    batch = collate_labelled(rows, pad_id=tokenizer.eot_token)
    device = next(model.parameters()).device
    scores = model(*(torch.as_tensor(part).to(device) for part in batch[:2]))
    return [dict(zip(model.labels, row, strict=True)) for row in scores.float().softmax(dim=1).tolist()]


@contextmanager
def in_eval_mode(model: Classifier) -> Iterator[None]:
    """Turn off dropout and gradients while the context is open, then restore the model's mode."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def scored_batches(
    model: Classifier, rows: Sequence[LabelledRow], batch_size: int, pad_id: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield scores (B, K) and classes (B,) of each batch, in order."""
    device = next(model.parameters()).device
    starts = range(0, len(rows), batch_size)
    for start in counted(starts, "validation", len(starts)):
        batch = collate_labelled(rows[start : start + batch_size], pad_id=pad_id)
        ids, ends, labels = (torch.as_tensor(part).to(device) for part in batch)
        yield model(ids, ends).float(), labels


def _weights(rows: LabelledRows) -> list[float]:
    """Return one weight per label: all labels get the same total weight, and the mean over the rows is 1."""
    counts = rows.counts()
    return [len(rows.rows) / (len(counts) * count) for count in counts]
