"""The plots that any training run has: loss, learning rate, size of the gradient, speed."""

import math
from collections.abc import Mapping, Sequence

from bytemill.experiment.demo_results import Metrics
from bytemill.report.figures import count, decimal
from bytemill.report.page import Plot, Table
from bytemill.report.plots import SERIES, Level, Line, curves

__all__ = ["loss_plot", "overlaid_plot", "series"]

_ROWS_IN_TABLE = 8


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
) -> Plot | None:
    """One logged quantity of one or more runs over the steps; `None` if no run logged it."""
    lines = []
    for i, (run, metrics) in enumerate(runs.items()):
        x, y = series(metrics, key)
        if x:
            marked = len(x) <= 30
            lines.append(Line(run, x, y, SERIES[i % len(SERIES)], dashed=i >= len(SERIES), marked=marked))
    if not lines:
        return None
    alt = f"{title}. " + " ".join(_told(line) for line in lines) + _levels_told(levels)
    drawing = curves(name, lines, x_label="training step", y_label=y_label, levels=levels, alt=alt)
    return Plot(title, drawing, what, numbers=_numbers(title, lines))


def series(metrics: Metrics, key: str) -> tuple[list[float], list[float]]:
    """Steps and values of the rows that hold `key`.

    >>> series([{"step": 1, "loss": 8.0}, {"step": 1, "val_loss": 7.5}], "loss")
    ([1], [8.0])
    """
    rows = [row for row in metrics if isinstance(row.get(key), int | float) and not isinstance(row[key], bool)]
    return [row["step"] for row in rows], [row[key] for row in rows]


def _told(line: Line) -> str:
    """A curve in a sentence."""
    if not line.x:
        return f"{line.label}: no values."
    begin = f"{_short(line.y[0])} at step {count(line.x[0])}"
    end = f"{_short(line.y[-1])} at step {count(line.x[-1])}"
    return f"{line.label}: from {begin} to {end}."


def _levels_told(levels: Sequence[Level]) -> str:
    return "".join(f" Line at {_short(level.y)}: {level.label}." for level in levels)


def _numbers(title: str, lines: Sequence[Line]) -> Table:
    """A few points of each curve, the first and the last among them."""
    rows = []
    for line in lines:
        last = len(line.x) - 1
        chosen = sorted({round(last * i / (_ROWS_IN_TABLE - 1)) for i in range(_ROWS_IN_TABLE)}) if line.x else []
        rows += [(line.label, count(line.x[i]), _short(line.y[i])) for i in chosen]
    return Table(f"{title}: some of the points", ("curve", "step", "value"), tuple(rows), numeric=(1, 2))


def _short(value: float) -> str:
    if value == 0 or 0.01 <= abs(value) < 1e5 or not math.isfinite(value):
        return decimal(value, 3 if abs(value) < 10 else 1)
    return f"{value:.2e}"
