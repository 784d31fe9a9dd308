"""What runs logged, as plots laid over each other: the known quantities in order, then all others."""

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

# (key in metrics.jsonl, title, unit, what a newcomer sees)
_CURVES = (
    (
        "val_loss",
        "Validation loss",
        "nats a token",
        "The loss on text kept aside. Lower is better; when it rises, the model learns by heart.",
    ),
    (
        "val_bits_per_byte",
        "Validation loss in bits a byte",
        "bits a byte",
        "The same loss, comparable across tokenizers: what it takes to tell a byte of the text.",
    ),
    ("loss", "Training loss", "nats a token", "The loss on the text being learned, step by step."),
    ("val_accuracy", "Accuracy", "share that is right", "How many of the rows kept aside got the right answer."),
    ("accuracy", "Accuracy in training", "share that is right", "The same on the rows of each step."),
    (
        "hellaswag",
        "HellaSwag",
        "share of stories ended rightly",
        "Which of four endings goes on with a story; guessing gets a quarter right.",
    ),
    ("lr", "Learning rate", "size of a step", "How far each step turns the weights."),
    (
        "grad_norm",
        "Size of the gradient",
        "norm, before clipping",
        "How strongly each batch pulls at the weights; a steady rise is a warning.",
    ),
    (
        "grad_max",
        "Largest entry of the gradient",
        "absolute value, before clipping",
        "The one number that pulls hardest; far above the norm's usual share, a few weights dominate.",
    ),
    ("tokens_per_s", "Speed", "tokens a second", "Tokens that went through training each second."),
    (
        "mfu",
        "Use of the hardware (MFU)",
        "share of the peak",
        "The share of what the hardware could do at best that goes into the model's own arithmetic.",
    ),
    ("memory_mib", "Memory", "MiB", "The most memory that was in use so far."),
)
# Told otherwise (steps, the error of HellaSwag), or another spelling of a curve above.
_NO_CURVES = {"step", "tokens", "epoch", "ms", "skipped", "hellaswag_error", "val_perplexity"}
_CHANCE = 0.25
MAX_OTHER_CURVES = 8
"""Metrics without a name of ours that are drawn; further ones are rows of a table."""


def curves_of(runs: Mapping[str, Metrics], axis: Axis = STEPS) -> list[Block]:
    """One plot for each quantity that some run logged."""
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
    """Title, unit and meaning of a metric without a name of ours; `val_loss/NAME` is a further validation set's."""
    kind, _, name = key.partition("/")
    for known, title, unit, what in _CURVES:
        if name and known == kind:
            return f"{title}: {name}", unit, what
    return key.replace("_", " ").capitalize(), key, f"`{key}`, as the run logged it."


def _table_of_others(runs: Mapping[str, Metrics], keys: Sequence[str]) -> Table:
    """The metrics that have no plot: drawing one takes seconds, and a run may log any number."""
    rows = []
    for key in keys:
        for name, metrics in runs.items():
            values = [value for value in series(metrics, key)[1] if math.isfinite(value)]
            if values:
                shown = (values[0], values[-1], min(values), max(values))
                rows.append((key, name, *(f"{value:.4g}" for value in shown)))
    header = ("metric", "run", "first", "last", "lowest", "highest")
    return Table("Further metrics that were logged", header, tuple(rows), numeric=(2, 3, 4, 5), code=(0,))


def ends_of(runs: Mapping[str, Metrics]) -> Table:
    """Where each run ended: losses, and HellaSwag with its standard error where one was logged."""
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
    return Table("Where each run ended", tuple(header), tuple(rows), numeric=tuple(range(1, len(header))))


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
    """As `plots` wants it: letters, digits and hyphens; two keys may not become one."""
    return "curve-" + "".join(one if one.isalnum() and one.isascii() else f"-{ord(one):x}-" for one in key)
