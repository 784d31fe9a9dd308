"""Plots of all metrics that runs logged: known metrics in order, then others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bytemill.report.figures import count, decimal
from bytemill.report.metrics_plots import STEPS, Axis, overlaid_plot, series
from bytemill.report.page import Block, Table
from bytemill.report.plots import Level
from bytemill.report.preference import IN_PREFERENCE_RUNS, PREFERENCE_KEYS, is_preference_run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.experiment.demo.results import Metrics

__all__ = ["curves_of", "ends_of"]

# (key in metrics.jsonl, title, unit, explanation)
_CURVES = (
    (
        "val_loss",
        "Validation loss",
        "nats per token",
        "The loss on the validation set. Lower is better; when it rises, the model overfits.",
    ),
    (
        "val_bits_per_byte",
        "Validation loss in bits per byte",
        "bits per byte",
        "The validation loss per byte of text instead of per token, which can be compared across tokenizers.",
    ),
    ("loss", "Training loss", "nats per token", "The loss on the training batch of each step."),
    ("val_accuracy", "Accuracy", "fraction correct", "Fraction of validation rows with a correct answer."),
    ("accuracy", "Accuracy in training", "fraction correct", "Fraction of correct answers in each step's batch."),
    (
        "hellaswag",
        "HellaSwag accuracy",
        "fraction correct",
        "Which of four endings continues a story; guessing scores 0.25.",
    ),
    ("lr", "Learning rate", "learning rate", "The learning rate of each step."),
    (
        "grad_norm",
        "Gradient norm",
        "norm, before clipping",
        "The norm of the gradient of each step; a steady rise is a warning.",
    ),
    (
        "grad_max",
        "Largest gradient entry",
        "absolute value, before clipping",
        "The largest absolute entry of the gradient; if it is close to the norm, a few weights dominate.",
    ),
    ("tokens_per_s", "Speed", "tokens per second", "Tokens trained per second."),
    (
        "mfu",
        "Model FLOPs utilization (MFU)",
        "fraction of the peak",
        "The fraction of the hardware's peak speed used for the model's own arithmetic.",
    ),
    ("memory_mib", "Memory", "MiB", "The peak memory so far."),
)
# Metrics that are shown elsewhere (steps, the error of HellaSwag), or that repeat a curve above.
_NO_CURVES = {"step", "tokens", "epoch", "ms", "skipped", "hellaswag_error", "val_perplexity"}
_CHANCE = 0.25
MAX_OTHER_CURVES = 8
"""Maximum number of curves of unknown metrics; further ones are rows of a table."""


def curves_of(runs: Mapping[str, Metrics], axis: Axis = STEPS) -> list[Block]:
    """Return one plot per metric that any run logged."""
    blocks: list[Block] = []
    compares = any(is_preference_run(metrics) for metrics in runs.values())
    for key, title, unit, what in _CURVES:
        if compares and key in PREFERENCE_KEYS:
            continue  # drawn among the plots of preference tuning
        if compares and key in IN_PREFERENCE_RUNS:
            unit, what = IN_PREFERENCE_RUNS[key]
        levels = _hellaswag_levels() if key == "hellaswag" and _is_logged(runs, key) else ()
        plot = overlaid_plot(_name(key), title, runs, key, y_label=unit, what=what, levels=levels, axis=axis)
        blocks += [plot] if plot else []
    known = {key for key, *_ in _CURVES} | _NO_CURVES | (PREFERENCE_KEYS if compares else set())
    others = dict.fromkeys(
        key
        for metrics in runs.values()
        for row in metrics
        for key in row
        if key not in known and key.partition("/")[0] not in _NO_CURVES
    )
    for key in [*others][:MAX_OTHER_CURVES]:
        title, unit, what = _described(key)
        plot = overlaid_plot(_name(key), title, runs, key, y_label=unit, what=what, axis=axis)
        blocks += [plot] if plot else []
    left_out = [*others][MAX_OTHER_CURVES:]
    return [*blocks, _table_of_others(runs, left_out)] if left_out else blocks


def _described(key: str) -> tuple[str, str, str]:
    """Return title, unit and explanation of another metric; `val_loss/NAME` is that of a further validation set."""
    kind, _, name = key.partition("/")
    for known, title, unit, what in _CURVES:
        if name and known == kind:
            return f"{title}: {name}", unit, what
    return key.replace("_", " ").capitalize(), key, f"The metric `{key}` of the run."


def _table_of_others(runs: Mapping[str, Metrics], keys: Sequence[str]) -> Table:
    """Return a table of the metrics without a plot; a plot takes seconds, and a run may log many metrics."""
    rows = []
    for key in keys:
        for name, metrics in runs.items():
            values = [value for value in series(metrics, key)[1] if math.isfinite(value)]
            if values:
                shown = (values[0], values[-1], min(values), max(values))
                rows.append((key, name, *(f"{value:.4g}" for value in shown)))
    header = ("metric", "run", "first", "last", "lowest", "highest")
    return Table("Further metrics", header, tuple(rows), numeric=(2, 3, 4, 5), code=(0,))


def ends_of(runs: Mapping[str, Metrics]) -> Table:
    """Return a table of each run's final losses, and of HellaSwag with its standard error if logged."""
    has_hellaswag = _is_logged(runs, "hellaswag")
    header = ["run", "steps", "training loss", "validation loss", "best validation loss"]
    header += ["HellaSwag"] if has_hellaswag else []
    rows = []
    for name, metrics in runs.items():
        losses = [series(metrics, key)[1] for key in ("loss", "val_loss")]
        best = min(filter(math.isfinite, losses[1]), default=math.nan)
        lasts = [decimal(values[-1], 4) if values else "–" for values in losses]
        steps = count(max((row["step"] for row in metrics), default=0))
        row = [name, steps, *lasts, decimal(best, 4)]
        rows.append(tuple(row + ([_hellaswag(metrics)] if has_hellaswag else [])))
    return Table("Final results of each run", tuple(header), tuple(rows), numeric=tuple(range(1, len(header))))


def _hellaswag(metrics: Metrics) -> str:
    scores, errors = series(metrics, "hellaswag")[1], series(metrics, "hellaswag_error")[1]
    if not scores:
        return "–"
    return decimal(scores[-1], 4) + (f" ± {decimal(errors[-1], 4)}" if errors else "")


def _hellaswag_levels() -> tuple[Level, ...]:
    from bytemill.evaluate.hellaswag import REFERENCE_SCORES  # imports torch, which few pages need

    return (Level("guessing", _CHANCE), *(Level(name, score) for name, score in REFERENCE_SCORES.items()))


def _is_logged(runs: Mapping[str, Metrics], key: str) -> bool:
    return any(series(metrics, key)[0] for metrics in runs.values())


def _name(key: str) -> str:
    """Return a unique name for a plot, of letters, digits and hyphens; different keys get different names."""
    return "curve-" + "".join(one if one.isalnum() and one.isascii() else f"-{ord(one):x}-" for one in key)
