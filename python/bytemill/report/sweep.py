"""The page of a sweep: all runs with the best first, the effect of each setting, curves, and samples side by side."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from bytemill.report.blocks import Block, Comparison, Figure, KeyFigures, Multiples, Plot, Prose, Table
from bytemill.report.charts import Dots, HeatMap
from bytemill.report.figures import count, decimal, duration, size
from bytemill.report.metrics_plots import loss_plot, overlaid_plot
from bytemill.report.page import Page, Section
from bytemill.report.verdict import sweep_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.experiment.sweep.results import SweepResult

__all__ = ["sweep_markdown", "sweep_page"]

_LINES_A_PLOT = 6
_SAMPLES_A_ROW = 4
_MAX_SETTING_COLUMNS = 6
_MAX_DOT_ROWS = 40
_MAX_HEAT_CELLS = 12
_SEEDS = ("train.seed", "data.seed")
"""Settings whose change alone makes a run a repeat of another."""
_OVERFITS = "If the validation loss rises while the training loss falls, the model overfits."


def sweep_markdown(results: Sequence[SweepResult]) -> str:
    """Return the table of a sweep in Markdown, the best run first, ending in a line break."""
    table = _table(results)
    lines = [table.header, tuple("---" for _ in table.header), *table.rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def sweep_page(results: Sequence[SweepResult], *, each_run: bool = True, provenance: str = "") -> Page:
    """Return one page that compares all runs.

    Args:
        results: Results of the runs.
        each_run: Whether to draw a plot of each run too, which takes seconds.
        provenance: Line on date, command and machine.
    """
    varying = [name for name in _settings(results) if name not in _SEEDS]
    sections = {
        "All runs": [_table(results), *_constants(results)],
        "Effect of the settings": _effects(results, varying),
        "Curves": _curves(results) or [Prose("No run has logged metrics yet.")],
        "Training and validation loss of each run": _losses(results) if each_run else [],
        "Samples": _samples(results),
    }
    named = varying or _settings(results)
    return Page(
        f"Sweep of {', '.join(named)}: {_runs(len(results))}" if named else f"Sweep of {_runs(len(results))}",
        _verdict(results, varying),
        tuple(Section(title, tuple(blocks)) for title, blocks in sections.items() if blocks),
        kicker="bytemill sweep",
        summary=_figures(results),
        provenance=provenance,
    )


def _runs(n_runs: int) -> str:
    return f"{n_runs} run{'' if n_runs == 1 else 's'}"


def _verdict(results: Sequence[SweepResult], varying: Sequence[str]) -> str:
    return sweep_verdict(
        {name: [one.validation_loss for one in group] for name, group in _groups(_final(results), varying).items()},
        n_runs=len(results),
        n_done=sum(result.state == "done" for result in results),
        n_failed=sum(result.state.startswith("failed") for result in results),
    )


def _figures(results: Sequence[SweepResult]) -> tuple[Block, ...]:
    losses = [one.validation_loss for one in _ranked(_final(results)) if math.isfinite(one.validation_loss)]
    if not losses:
        return ()
    figures = [Figure(decimal(losses[0], 4), "lowest validation loss", "nats, after the last step")]
    if len(losses) > 1:
        figures.append(Figure(decimal(losses[-1] - losses[0], 4), "from best to worst run"))
    seconds = sum(one.ended.seconds for one in results if one.ended)
    figures += [Figure(duration(seconds), "training time", "all runs together")] if seconds else []
    return (KeyFigures(tuple(figures)),)


def _ranked(results: Sequence[SweepResult]) -> list[SweepResult]:
    """Return finished runs with the lowest validation loss first, then other runs by their last validation loss."""

    def place(one: SweepResult) -> tuple[bool, float]:
        return one.state != "done", one.validation_loss if math.isfinite(one.validation_loss) else math.inf

    return sorted(results, key=place)


def _final(results: Sequence[SweepResult]) -> list[SweepResult]:
    """Return the finished runs, whose losses are final; all runs while none has finished."""
    return [one for one in results if one.state == "done"] or list(results)


def _settings(results: Sequence[SweepResult]) -> list[str]:
    """Return the settings that differ between runs."""
    found = dict.fromkeys(setting for result in results for setting in result.varied)
    return [name for name in found if len({repr(result.varied.get(name)) for result in results}) > 1]


def _groups(results: Sequence[SweepResult], varying: Sequence[str]) -> dict[str, list[SweepResult]]:
    """Return the results by their settings without the seeds; a group of several has repeats."""
    all_the_same = "all runs" if len(results) > 1 and _settings(results) and not varying else ""
    groups: dict[str, list[SweepResult]] = {}
    for one in results:
        groups.setdefault(_values_of(one, varying) or all_the_same or one.name, []).append(one)
    return groups


def _label(result: SweepResult, settings: Sequence[str]) -> str:
    """Return a run's values of these settings, or its name if there are none or many."""
    return _values_of(result, settings) if 0 < len(settings) <= _MAX_SETTING_COLUMNS else result.name


def _values_of(result: SweepResult, settings: Sequence[str]) -> str:
    return ", ".join(f"{_last_part(name)}={_value(result.varied.get(name))}" for name in settings)


def _labels(results: Sequence[SweepResult]) -> dict[str, str]:
    """Return a short label of each run by its name: its varying settings, or its name if these are not unique."""
    settings = _settings(results)
    labels = {one.name: _label(one, settings) for one in results}
    return labels if len(set(labels.values())) == len(results) else {name: name for name in labels}


def _table(results: Sequence[SweepResult]) -> Table:
    """Return all runs: the result, the settings that vary, then further figures."""
    settings = _settings(results)[:_MAX_SETTING_COLUMNS]
    has_accuracy = any(math.isfinite(one.validation_accuracy) for one in results)
    figures = ("training loss", "lowest", "steps", "trainable", "memory", "time", "state", "run")
    header = ("", "validation loss", *(["accuracy"] if has_accuracy else []), *settings, *figures)
    ranked = _ranked(results)
    rows = tuple(_row(i, one, settings, has_accuracy=has_accuracy) for i, one in enumerate(ranked, start=1))
    best = ((0, 1),) if len(rows) > 1 and rows[0][1] != "–" else ()
    n_before = 2 + has_accuracy
    of_settings = tuple(n_before + i for i, name in enumerate(settings) if _is_numeric(name, results))
    after = n_before + len(settings)
    numeric = (*range(1, n_before), *of_settings, *range(after, after + 6))
    return Table("Runs, the lowest validation loss first", header, rows, numeric=numeric, best=best)


def _row(number: int, result: SweepResult, settings: Sequence[str], *, has_accuracy: bool) -> tuple[str, ...]:
    return (
        str(number),
        decimal(result.validation_loss, 4),
        *([decimal(result.validation_accuracy, 4)] if has_accuracy else []),
        *(_value(result.varied.get(setting)) for setting in settings),
        decimal(result.train_loss, 4),
        decimal(result.best_validation_loss, 4),
        count(result.steps),
        "–" if result.n_trainable is None else count(result.n_trainable),
        size(result.memory_mib * 2**20) if math.isfinite(result.memory_mib) else "–",
        duration(result.ended.seconds) if result.ended else "–",
        result.state,
        result.name,
    )


def _constants(results: Sequence[SweepResult]) -> list[Block]:
    """Return a sentence on settings of the sweep that all runs share."""
    differing = _settings(results)
    shared = {name: value for one in results[:1] for name, value in one.varied.items() if name not in differing}
    hidden = differing[_MAX_SETTING_COLUMNS:]
    parts = []
    if shared:
        listed = ", ".join(f"`{name}` {_value(value)}" for name, value in shared.items())
        parts.append(f"The same in all runs: {listed}.")
    if hidden:
        parts.append(f"The names of the runs show also: {', '.join(f'`{name}`' for name in hidden)}.")
    return [Prose(" ".join(parts))] if parts else []


def _effects(results: Sequence[SweepResult], varying: Sequence[str]) -> list[Block]:
    """Return the dots of all settings, and a heat map if two settings vary."""
    measured = [one for one in _ranked(_final(results)) if math.isfinite(one.validation_loss)]
    groups = {name: [one.validation_loss for one in group] for name, group in _groups(measured, varying).items()}
    if len(groups) < 2:
        return []
    ranked = sorted(groups, key=lambda name: sum(groups[name]) / len(groups[name]))[:_MAX_DOT_ROWS]
    listed = ", ".join(f"{name} {decimal(sum(groups[name]) / len(groups[name]), 4)}" for name in ranked)
    has_repeats = any(len(values) > 1 for values in groups.values())
    what = "One dot per run, the best settings on top; the axis does not begin at 0."
    what += " A line shows the range of repeats with other seeds." if has_repeats else ""
    dots = Dots(
        tuple(ranked),
        tuple(tuple(groups[name]) for name in ranked),
        "validation loss, nats",
        f"Final validation losses: {listed}.",
    )
    blocks: list[Block] = [Plot("Final validation loss", dots, what)]
    heat = _heat(measured, varying) if len(varying) == 2 else None
    return [*blocks, *([heat] if heat else [])]


def _heat(measured: Sequence[SweepResult], varying: Sequence[str]) -> Plot | None:
    down, across = ([*_ordered(one.varied.get(name) for one in measured)] for name in varying)
    if not (1 < len(down) <= _MAX_HEAT_CELLS and 1 < len(across) <= _MAX_HEAT_CELLS):
        return None
    cells: dict[tuple[str, str], list[float]] = {}
    for one in measured:
        place = (_value(one.varied.get(varying[0])), _value(one.varied.get(varying[1])))
        cells.setdefault(place, []).append(one.validation_loss)
    values = tuple(
        tuple(sum(found) / len(found) if (found := cells.get((y, x))) else math.nan for x in across) for y in down
    )
    listed = ", ".join(f"{y} and {x}: {decimal(sum(v) / len(v), 4)}" for (y, x), v in cells.items())
    chart = HeatMap(
        varying[0],
        tuple(down),
        varying[1],
        tuple(across),
        values,
        f"Validation loss by {' and '.join(varying)}: {listed}.",
    )
    what = "The final validation loss, the mean of repeats. Darker is lower; the lowest has a frame."
    return Plot(f"Validation loss by {' and '.join(varying)}", chart, what)


def _ordered(values: Any) -> list[str]:
    """Return different values as text, numbers by size."""
    found = list({repr(value): value for value in values}.values())
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found):
        found.sort()
    return list(map(_value, found))


def _is_numeric(setting: str, results: Sequence[SweepResult]) -> bool:
    values = [one.varied.get(setting) for one in results]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _last_part(setting: str) -> str:
    return setting.rpartition(".")[2]


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    if value is None:
        return "none"
    if isinstance(value, bool | dict):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _curves(results: Sequence[SweepResult]) -> list[Block]:
    """Return plots of the losses with at most six runs per plot, the best runs first."""
    ordered, labels = [one for one in _ranked(results) if one.metrics], _labels(results)
    parts = [ordered[i : i + _LINES_A_PLOT] for i in range(0, len(ordered), _LINES_A_PLOT)]
    blocks: list[Block] = []
    for key, title, what in (
        ("val_loss", "Validation loss", f"The loss on the validation set. {_OVERFITS}"),
        ("loss", "Training loss", "The loss on the batch of each step."),
    ):
        for number, part in enumerate(parts, start=1):
            runs: Mapping[str, Any] = {labels[one.name]: one.metrics for one in part}
            place = f", {number} of {len(parts)}" if len(parts) > 1 else ""
            plot = overlaid_plot(title + place, runs, key, y_label="nats", what=what)
            blocks += [plot] if plot else []
    return blocks


def _losses(results: Sequence[SweepResult]) -> list[Block]:
    """Return small plots, one per run, with its training and validation loss, the best run first."""
    labels = _labels(results)
    plots = tuple(
        loss_plot(
            labels[one.name], one.metrics, what=f"Ends at {decimal(one.validation_loss, 4)}.", good="", unit="nats"
        )
        for one in _ranked(results)
        if one.metrics
    )
    return [Multiples(plots)] if plots else []


def _samples(results: Sequence[SweepResult]) -> list[Block]:
    ranked, labels = _ranked(results), _labels(results)
    prompts = list(dict.fromkeys(str(sample["prompt"]) for result in ranked for sample in result.samples))
    blocks: list[Block] = []
    for number, prompt in enumerate(prompts, start=1):
        texts = [
            (labels[result.name], str(sample["text"]))
            for result in ranked
            for sample in result.samples
            if sample["prompt"] == prompt
        ]
        for start in range(0, len(texts), _SAMPLES_A_ROW):
            title = f"Prompt {number}" if start == 0 else f"Prompt {number}, further runs"
            question = prompt if start == 0 else ""
            blocks.append(Comparison(title, tuple(texts[start : start + _SAMPLES_A_ROW]), question=question))
    return blocks
