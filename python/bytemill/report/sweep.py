"""The page of a sweep: one table of all runs, their curves together, and their samples side by side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bytemill.report.figures import count, decimal, duration, size
from bytemill.report.metrics_plots import loss_plot, overlaid_plot
from bytemill.report.page import Block, Comparison, Page, Plot, Prose, Section, Table
from bytemill.report.plots import bars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.experiment.sweep.results import SweepResult

__all__ = ["sweep_markdown", "sweep_page"]

_LINES_A_PLOT = 6
_SAMPLES_A_ROW = 4
_MAX_SETTING_COLUMNS = 4
_CURVES = (
    ("val_loss", "Validation loss", "The loss on the validation set. If it rises while the training loss falls, "),
    ("loss", "Training loss", "The loss on the batch of each step. If it falls far below the validation loss, "),
)
_OVERFITS = "the model overfits."


def sweep_markdown(results: Sequence[SweepResult]) -> str:
    """Return the table of a sweep in Markdown, ending in a line break."""
    header, rows = _table(results)
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def sweep_page(title: str, results: Sequence[SweepResult], *, each_run: bool = True) -> Page:
    """Return one page that compares all runs.

    Args:
        title: Title of the page.
        results: Results of the runs.
        each_run: Whether to draw a plot of each run too, which takes seconds.
    """
    header, rows = _table(results)
    n_settings = len(_settings(results))
    numeric = tuple(range(1 + n_settings, len(header) - 1))
    return Page(
        title=title,
        kicker="bytemill sweep",
        lead=_lead(results),
        sections=(
            Section("All runs", (Table("Results of the runs", header, tuple(rows), numeric=numeric), *_bars(results))),
            Section("Curves", tuple(_curves(results)) or (Prose("No run has logged metrics yet."),)),
            *([Section("Training and validation loss", plots)] if each_run and (plots := _losses(results)) else []),
            Section("Samples", tuple(_samples(results)) or (Prose("No run has samples yet."),)),
        ),
        footer="Written by bytemill. This page is one file: it loads nothing, and you can send it as it is.",
    )


def _lead(results: Sequence[SweepResult]) -> str:
    n_done = sum(result.state == "done" for result in results)
    n_failed = sum(result.state.startswith("failed") for result in results)
    done = f"{n_done} of {len(results)} runs are done" + (f", {n_failed} failed" if n_failed else "")
    ranked = _ranked(results)
    if not ranked:
        return f"{done}."
    best = ranked[0]
    return f"{done}. The lowest final validation loss is {decimal(best.validation_loss, 4)}, by `{best.name}`."


def _ranked(results: Sequence[SweepResult]) -> list[SweepResult]:
    """Return the results with a validation loss, the lowest final loss first."""
    measured = [result for result in results if math.isfinite(result.validation_loss)]
    return sorted(measured, key=lambda result: result.validation_loss)


def _settings(results: Sequence[SweepResult]) -> list[str]:
    """Return the settings that differ between runs; none if there are too many for columns (see the runs' names)."""
    found = dict.fromkeys(setting for result in results for setting in result.varied)
    differing = [name for name in found if len({repr(result.varied.get(name)) for result in results}) > 1]
    return differing if len(differing) <= _MAX_SETTING_COLUMNS else []


def _table(results: Sequence[SweepResult]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    settings = _settings(results)
    figures = ("trainable", "steps", "training loss", "validation loss", "lowest", "memory", "time", "state")
    return ("run", *settings, *figures), [_row(result, settings) for result in results]


def _row(result: SweepResult, settings: Sequence[str]) -> tuple[str, ...]:
    values = [_value(result.varied[setting]) if setting in result.varied else "" for setting in settings]
    return (
        result.name,
        *values,
        "–" if result.n_trainable is None else count(result.n_trainable),
        count(result.steps),
        decimal(result.train_loss, 4),
        decimal(result.validation_loss, 4),
        decimal(result.best_validation_loss, 4),
        size(result.memory_mib * 2**20) if math.isfinite(result.memory_mib) else "–",
        duration(result.ended.seconds) if result.ended else "–",
        result.state,
    )


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bars(results: Sequence[SweepResult]) -> list[Block]:
    ranked = _ranked(results)
    if len(ranked) < 2:
        return []
    names, losses = tuple(one.name for one in ranked), tuple(one.validation_loss for one in ranked)
    listed = ", ".join(f"{name} {decimal(loss, 4)}" for name, loss in zip(names, losses, strict=True))
    drawing = bars("final", names, losses, value_format="{:.4f}", alt=f"Final validation losses: {listed}.")
    what = "The loss on the validation set after the last step; the best run is on top."
    return [Plot("Final validation loss", drawing, what)]


def _curves(results: Sequence[SweepResult]) -> list[Block]:
    """Return plots of each metric with at most six runs per plot, the best runs first."""
    blocks: list[Block] = []
    others = [result for result in results if result.metrics and not math.isfinite(result.validation_loss)]
    ordered = [*_ranked(results), *others]
    parts = [ordered[i : i + _LINES_A_PLOT] for i in range(0, len(ordered), _LINES_A_PLOT)]
    for key, title, what in _CURVES:
        for number, part in enumerate(parts, start=1):
            runs: Mapping[str, Any] = {result.name: result.metrics for result in part}
            place = f", {number} of {len(parts)}" if len(parts) > 1 else ""
            plot = overlaid_plot(
                f"{key.replace('_', '-')}-{number}",
                title + place,
                runs,
                key,
                y_label="nats per token",
                what=what + _OVERFITS,
            )
            blocks += [plot] if plot else []
    return blocks


def _losses(results: Sequence[SweepResult]) -> tuple[Block, ...]:
    """Return one plot per run with its training and validation loss, in the order of the sweep."""
    return tuple(
        loss_plot(
            f"losses-{number}",
            result.name,
            result.metrics,
            what="The loss on the training batches and on the validation set.",
            good="Both fall. If the validation loss rises while the training loss falls, " + _OVERFITS,
        )
        for number, result in enumerate(results, start=1)
        if result.metrics
    )


def _samples(results: Sequence[SweepResult]) -> list[Block]:
    prompts = list(dict.fromkeys(str(sample["prompt"]) for result in results for sample in result.samples))
    blocks: list[Block] = []
    for number, prompt in enumerate(prompts, start=1):
        texts = [
            (result.name, str(sample["text"]))
            for result in results
            for sample in result.samples
            if sample["prompt"] == prompt
        ]
        for start in range(0, len(texts), _SAMPLES_A_ROW):
            title = f"Prompt {number}" if start == 0 else f"Prompt {number}, further runs"
            question = prompt if start == 0 else ""
            blocks.append(Comparison(title, tuple(texts[start : start + _SAMPLES_A_ROW]), question=question))
    return blocks
