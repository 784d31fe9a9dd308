"""The plots that any training run has: loss, learning rate, size of the gradient, speed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bytemill.experiment.demo.results import Metrics
from bytemill.report.figures import count, decimal
from bytemill.report.page import Plot, Table
from bytemill.report.plots import SERIES, Level, Line, curves

__all__ = ["AXES", "STEPS", "Axis", "loss_plot", "overlaid_plot", "series"]

_ROWS_IN_TABLE = 8


@dataclass(frozen=True)
class Axis:
    """What curves are drawn over."""

    key: str
    """In a line of metrics."""
    label: str
    """Below the axis."""
    noun: str
    """One of them, in sentences and tables."""


STEPS = Axis("step", "training step", "step")
AXES = {
    "steps": STEPS,
    "tokens": Axis("tokens", "tokens read", "token"),
    "epochs": Axis("epoch", "epochs", "epoch"),
}
"""What `bytemill report --x` takes."""


def loss_plot(
    name: str,
    title: str,
    metrics: Metrics,
    *,
    what: str,
    good: str,
    levels: Sequence[Level] = (),
    train_label: str = "training",
    val_label: str = "validation",
) -> Plot:
    """The loss over the steps: training in grey, validation in the accent colour."""
    train_x, train_y = series(metrics, "loss")
    val_x, val_y = series(metrics, "val_loss")
    lines = [Line(train_label, train_x, train_y, "muted" if val_x else "accent", width=1.4 if val_x else 2)]
    if val_x:
        lines.append(Line(val_label, val_x, val_y, "accent", width=2.4, marked=True))
    drawing = curves(
        name,
        lines,
        x_label="training step",
        y_label="loss, nats a token",
        levels=levels,
        alt=f"{title}. " + " ".join(_told(line) for line in lines) + _levels_told(levels),
    )
    return Plot(title, drawing, what, good, numbers=_numbers(title, lines))


def overlaid_plot(
    name: str,
    title: str,
    runs: Mapping[str, Metrics],
    key: str,
    *,
    y_label: str,
    what: str,
    levels: Sequence[Level] = (),
    axis: Axis = STEPS,
) -> Plot | None:
    """One logged quantity of one or more runs over the steps, or another axis; `None` if no run logged it."""
    lines = []
    for i, (run, metrics) in enumerate(runs.items()):
        x, y = series(metrics, key, axis)
        if x:
            marked = len(x) <= 30
            lines.append(Line(run, x, y, SERIES[i % len(SERIES)], dashed=i >= len(SERIES), marked=marked))
    if not lines:
        return None
    alt = f"{title}. " + " ".join(_told(line, axis) for line in lines) + _levels_told(levels)
    drawing = curves(name, lines, x_label=axis.label, y_label=y_label, levels=levels, alt=alt)
    return Plot(title, drawing, what, numbers=_numbers(title, lines, axis))


def series(metrics: Metrics, key: str, axis: Axis = STEPS) -> tuple[list[float], list[float]]:
    """Steps, or places on another axis, and values of the rows that hold `key`.

    >>> rows = [{"step": 0, "val_loss": 8.0}, {"step": 1, "loss": 8.0, "tokens": 64}, {"step": 1, "val_loss": 7.5}]
    >>> series(rows, "loss"), series(rows, "val_loss", AXES["tokens"])
    (([1], [8.0]), ([0], [8.0]))
    """
    points = [(_place(row, axis), row[key]) for row in metrics if _is_number(row.get(key))]
    return [x for x, _ in points if x is not None], [y for x, y in points if x is not None]


def _place(row: Mapping[str, Any], axis: Axis) -> float | None:
    """Where a row is on the axis: before the first step at 0; None where it does not say."""
    place = row.get(axis.key, 0 if row["step"] == 0 else None)
    return place if _is_number(place) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _told(line: Line, axis: Axis = STEPS) -> str:
    """A curve in a sentence."""
    if not line.x:
        return f"{line.label}: no values."
    begin = f"{_short(line.y[0])} at {axis.noun} {_counted(line.x[0])}"
    end = f"{_short(line.y[-1])} at {axis.noun} {_counted(line.x[-1])}"
    return f"{line.label}: from {begin} to {end}."


def _levels_told(levels: Sequence[Level]) -> str:
    return "".join(f" Line at {_short(level.y)}: {level.label}." for level in levels)


def _numbers(title: str, lines: Sequence[Line], axis: Axis = STEPS) -> Table:
    """A few points of each curve, the first and the last among them."""
    rows = []
    for line in lines:
        last = len(line.x) - 1
        chosen = sorted({round(last * i / (_ROWS_IN_TABLE - 1)) for i in range(_ROWS_IN_TABLE)}) if line.x else []
        rows += [(line.label, _counted(line.x[i]), _short(line.y[i])) for i in chosen]
    return Table(f"{title}: some of the points", ("curve", axis.noun, "value"), tuple(rows), numeric=(1, 2))


def _counted(place: float) -> str:
    """A place on an axis; epochs are seldom whole."""
    return count(place) if float(place).is_integer() else decimal(place, 2)


def _short(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 1e5 or not math.isfinite(value):
        return decimal(value, 3 if abs(value) < 10 else 1)
    return f"{value:.2e}"
