"""Plots of all metrics that runs of one task logged: the main ones large, others small, the rest in a table."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from bytemill.report.blocks import Block, Multiples, Plot, Table
from bytemill.report.charts import Level
from bytemill.report.metrics_plots import Axis, loss_plot, overlaid_plot, series
from bytemill.report.preference import PREFERENCE_KEYS, preference_plots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.experiment.demo.results import Metrics
    from bytemill.report.run_data import RunData

__all__ = ["MAX_OTHER_CURVES", "curves_of"]

# (key in metrics.jsonl, title, unit, explanation)
_ACCURACY = ("val_accuracy", "Accuracy", "fraction correct", "Fraction of validation rows with a correct answer.")
_WIN_RATE = (
    "val_accuracy",
    "Win rate",
    "fraction of pairs ranked correctly",
    "Fraction of validation pairs whose chosen answer has the higher reward; guessing gives 0.5.",
)
_MAIN = (
    _ACCURACY,
    (
        "hellaswag",
        "HellaSwag accuracy",
        "fraction correct",
        "Which of four endings continues a story; guessing scores 0.25.",
    ),
)
_SECONDARY = (
    (
        "val_bits_per_byte",
        "Validation loss in bits per byte",
        "bits per byte",
        "Per byte of text instead of per token, so it can be compared across tokenizers.",
    ),
    ("val_macro_f1", "Macro F1", "mean of the classes' F1", "F1 on the validation set."),
    ("accuracy", "Accuracy in training", "fraction correct", "Fraction of correct answers in each step's batch."),
    ("lr", "Learning rate", "learning rate", "The learning rate of each step."),
    ("grad_norm", "Gradient norm", "norm, before clipping", "The norm of the gradient; a steady rise is a warning."),
    (
        "grad_max",
        "Largest gradient entry",
        "absolute value, before clipping",
        "If it is close to the norm, a few weights dominate.",
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
_UNITS = {"preference": "nats per pair", "classify": "nats per row"}
_TITLES = {key: (title, unit, what) for key, title, unit, what in (*_MAIN, *_SECONDARY)} | {
    "val_loss": ("Validation loss", "nats per token", "The loss on a further validation set."),
    "loss": ("Training loss", "nats per token", "The loss on the training batch of each step."),
}
# Metrics that are shown elsewhere (steps, the error of HellaSwag), or that repeat a curve above.
_NO_CURVES = {"step", "tokens", "epoch", "ms", "skipped", "hellaswag_error", "val_perplexity", "loss", "val_loss"}
_CELL_OF_CONFUSION = re.compile(r"val_.*_as_.*")
_F1 = "val_f1_"
_CHANCE = 0.25
MAX_OTHER_CURVES = 8
"""Maximum number of curves of unknown metrics; further ones are rows of a table."""


def curves_of(task: str, runs: Sequence[RunData], axis: Axis) -> list[Block]:
    """Return one plot per metric that any run logged: the loss and other main ones first."""
    metrics = {run.name: run.metrics for run in runs}
    main = _loss_plots(metrics, _UNITS.get(task, "nats per token"), axis)
    if task == "preference":
        main += preference_plots(metrics, axis)
    measures = (_WIN_RATE,) if task == "preference" else _MAIN
    main += [plot for one in measures if (plot := _plot(one, metrics, axis))]
    drawn = (
        {key for key, *_ in (*_MAIN, *_SECONDARY)} | _NO_CURVES | (PREFERENCE_KEYS if task == "preference" else set())
    )
    others = [key for key in _keys(metrics) if not _is_drawn(key, drawn, task)]
    known = [(key, *_described(key)) for key in others[:MAX_OTHER_CURVES]]
    small = [plot for one in (*_SECONDARY, *known) if (plot := _plot(one, metrics, axis))]
    blocks: list[Block] = [*main, *([Multiples(tuple(small))] if small else [])]
    left_out = others[MAX_OTHER_CURVES:]
    return [*blocks, _table_of_others(metrics, left_out)] if left_out else blocks


def _loss_plots(runs: Mapping[str, Metrics], unit: str, axis: Axis) -> list[Plot]:
    if len(runs) == 1:
        (metrics,) = runs.values()
        if not series(metrics, "loss", axis)[0] and not series(metrics, "val_loss", axis)[0]:
            return []
        what = "The loss on the training batches and on the validation set."
        good = "Both fall and stay together. If the validation loss rises while the training loss falls, it overfits."
        return [loss_plot("Loss", metrics, what=what, good=good, unit=unit, axis=axis)]
    found = (
        overlaid_plot(title, runs, key, y_label=unit, what=what, axis=axis)
        for key, title, what in (
            ("val_loss", "Validation loss", "The loss on the validation set. If a curve rises, that model overfits."),
            ("loss", "Training loss", "The loss on the training batch of each step."),
        )
    )
    return [plot for plot in found if plot]


def _plot(one: tuple[str, str, str, str], runs: Mapping[str, Metrics], axis: Axis) -> Plot | None:
    key, title, unit, what = one
    levels = _hellaswag_levels() if key == "hellaswag" and any(key in row for m in runs.values() for row in m) else ()
    return overlaid_plot(title, runs, key, y_label=unit, what=what, levels=levels, axis=axis)


def _keys(runs: Mapping[str, Metrics]) -> dict[str, None]:
    return dict.fromkeys(key for metrics in runs.values() for row in metrics for key in row)


def _is_drawn(key: str, drawn: set[str], task: str) -> bool:
    """Return whether a metric has its plot or place elsewhere."""
    kind, is_of_set, _ = key.partition("/")
    if is_of_set and kind in ("loss", "val_loss"):
        return False  # of a further validation set
    return key in drawn or kind in _NO_CURVES or (task == "classify" and bool(_CELL_OF_CONFUSION.fullmatch(key)))


def _described(key: str) -> tuple[str, str, str]:
    """Return title, unit and explanation of another metric; `val_loss/NAME` is that of a further validation set."""
    if key.startswith(_F1):
        label = key.removeprefix(_F1)
        return f"F1 of {label}", "F1", f"F1 of the class {label} on the validation set."
    kind, _, name = key.partition("/")
    if name and kind in _TITLES:
        title, unit, what = _TITLES[kind]
        return f"{title}: {name}", unit, what
    return key.replace("_", " ").capitalize(), key, f"The metric `{key}` of the run."


def _table_of_others(runs: Mapping[str, Metrics], keys: Sequence[str]) -> Table:
    """Return a table of the metrics without a plot; a plot takes time, and a run may log many metrics."""
    rows = []
    for key in keys:
        for name, metrics in runs.items():
            values = [value for value in series(metrics, key)[1] if math.isfinite(value)]
            if values:
                shown = (values[-1], min(values), max(values), values[0])
                rows.append((key, name, *(f"{value:.4g}" for value in shown)))
    header = ("metric", "run", "last", "lowest", "highest", "first")
    return Table("Further metrics", header, tuple(rows), numeric=(2, 3, 4, 5), code=(0,))


def _hellaswag_levels() -> tuple[Level, ...]:
    from bytemill.evaluate.hellaswag import REFERENCE_SCORES  # imports torch, which few pages need

    return (Level("guessing", _CHANCE), *(Level(name, score) for name, score in REFERENCE_SCORES.items()))
