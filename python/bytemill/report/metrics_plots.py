"""Plots of logged metrics over steps, tokens or epochs: loss, learning rate, gradient norm, speed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bytemill.experiment.demo.results import Metrics
from bytemill.report.blocks import Plot, Table
from bytemill.report.charts import SERIES, Curves, Level, Line
from bytemill.report.figures import count, decimal

__all__ = ["AXES", "STEPS", "Axis", "loss_plot", "overlaid_plot", "series"]

_ROWS_IN_TABLE = 8


@dataclass(frozen=True)
class Axis:
    """The x axis of curves."""

    key: str
    """Key in a line of metrics."""
    label: str
    """Label below the axis."""
    noun: str
    """Name of one unit, in sentences and tables."""
    is_whole: bool = True
    """Whether its ticks are whole numbers."""


STEPS = Axis("step", "training step", "step")
AXES = {
    "steps": STEPS,
    "tokens": Axis("tokens", "tokens read", "token"),
    "epochs": Axis("epoch", "epochs", "epoch", is_whole=False),
}
"""The choices of `bytemill report --x`."""


def loss_plot(
    title: str,
    metrics: Metrics,
    *,
    what: str,
    good: str,
    unit: str = "nats per token",
    levels: Sequence[Level] = (),
    train_label: str = "training",
    val_label: str = "validation",
    axis: Axis = STEPS,
) -> Plot:
    """Return a plot of one run's loss: training in grey, validation in the accent colour."""
    train_x, train_y = series(metrics, "loss", axis)
    val_x, val_y = series(metrics, "val_loss", axis)
    lines = [Line(train_label, train_x, train_y, "muted" if val_x else "accent", width=1.4 if val_x else 2)]
    if val_x:
        lines.append(Line(val_label, val_x, val_y, "accent", width=2.4, marked=True))
    return _plot(title, lines, what, good, y_label=f"loss, {unit}", levels=levels, axis=axis)


def overlaid_plot(
    title: str,
    runs: Mapping[str, Metrics],
    key: str,
    *,
    y_label: str,
    what: str,
    levels: Sequence[Level] = (),
    axis: Axis = STEPS,
) -> Plot | None:
    """Return a plot of one metric of one or more runs by step or on another axis; `None` if no run logged it."""
    lines = []
    for i, (run, metrics) in enumerate(runs.items()):
        x, y = series(metrics, key, axis)
        if x:
            marked = len(x) <= 30
            lines.append(Line(run, x, y, SERIES[i % len(SERIES)], dashed=i >= len(SERIES), marked=marked))
    return _plot(title, lines, what, "", y_label=y_label, levels=levels, axis=axis) if lines else None


def _plot(
    title: str, lines: Sequence[Line], what: str, good: str, *, y_label: str, levels: Sequence[Level], axis: Axis
) -> Plot:
    alt = f"{title}. " + " ".join(_described(line, axis) for line in lines) + _described_levels(levels)
    chart = Curves(tuple(lines), axis.label, y_label, alt, tuple(levels), whole_x=axis.is_whole)
    return Plot(title, chart, what, good, numbers=_numbers(title, lines, axis))


def series(metrics: Metrics, key: str, axis: Axis = STEPS) -> tuple[list[float], list[float]]:
    """Return steps, or positions on another axis, and values of the rows with `key`.

    >>> rows = [{"step": 0, "val_loss": 8.0}, {"step": 1, "loss": 8.0, "tokens": 64}, {"step": 1, "val_loss": 7.5}]
    >>> series(rows, "loss"), series(rows, "val_loss", AXES["tokens"])
    (([1], [8.0]), ([0], [8.0]))
    """
    points = [(_place(row, axis), row[key]) for row in metrics if _is_number(row.get(key))]
    return [x for x, _ in points if x is not None], [y for x, y in points if x is not None]


def _place(row: Mapping[str, Any], axis: Axis) -> float | None:
    """Return the position of a row on the axis: 0 before the first step; None if the row lacks it."""
    place = row.get(axis.key, 0 if row["step"] == 0 else None)
    return place if _is_number(place) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _described(line: Line, axis: Axis = STEPS) -> str:
    """Describe a curve in one sentence."""
    if not line.x:
        return f"{line.label}: no values."
    begin = f"{_short(line.y[0])} at {axis.noun} {_counted(line.x[0])}"
    end = f"{_short(line.y[-1])} at {axis.noun} {_counted(line.x[-1])}"
    return f"{line.label}: from {begin} to {end}."


def _described_levels(levels: Sequence[Level]) -> str:
    return "".join(f" Line at {_short(level.y)}: {level.label}." for level in levels)


def _numbers(title: str, lines: Sequence[Line], axis: Axis = STEPS) -> Table:
    """Return a table of a few points of each curve, including the first and the last."""
    rows = []
    for line in lines:
        last = len(line.x) - 1
        chosen = sorted({round(last * i / (_ROWS_IN_TABLE - 1)) for i in range(_ROWS_IN_TABLE)}) if line.x else []
        rows += [(line.label, _counted(line.x[i]), _short(line.y[i])) for i in chosen]
    return Table(f"{title}: some of the points", ("curve", axis.noun, "value"), tuple(rows), numeric=(1, 2))


def _counted(place: float) -> str:
    """Format a position on an axis; epochs are usually not whole numbers."""
    return count(place) if float(place).is_integer() else decimal(place, 2)


def _short(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 1e5 or not math.isfinite(value):
        return decimal(value, 3 if abs(value) < 10 else 1)
    return f"{value:.2e}"
