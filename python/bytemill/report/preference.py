"""Plots of preference tuning: margins and rewards of chosen and rejected answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bytemill.report.blocks import Plot
from bytemill.report.charts import Curves, Level, Line
from bytemill.report.figures import decimal
from bytemill.report.metrics_plots import STEPS, Axis, overlaid_plot, series

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.experiment.demo.results import Metrics

__all__ = ["PREFERENCE_KEYS", "preference_plots"]

_MARGINS = (
    (
        "val_margin",
        "Margin on the validation set",
        "Reward of the chosen answer minus reward of the rejected answer, on the validation set.",
    ),
    ("margin", "Margin in training", "The margin on the pairs of each step; before tuning it is 0."),
)
_REWARDS = ("reward_chosen", "reward_rejected")
PREFERENCE_KEYS = {*(key for key, *_ in _MARGINS), *_REWARDS, *(f"val_{key}" for key in _REWARDS)}
"""Metrics that `preference_plots` shows, so that other plots leave them out."""


def preference_plots(runs: Mapping[str, Metrics], axis: Axis = STEPS) -> list[Plot]:
    """Return plots of the margins of all runs together, then of the rewards of each run."""
    plots = [
        overlaid_plot(title, runs, key, y_label="nats x beta", what=what, axis=axis) for key, title, what in _MARGINS
    ]
    return [plot for plot in plots if plot] + [
        _rewards(name, metrics, axis)
        for name, metrics in runs.items()
        if any(key in row for row in metrics for key in _REWARDS)
    ]


def _rewards(run: str, metrics: Metrics, axis: Axis) -> Plot:
    lines = (
        Line("chosen", *series(metrics, "reward_chosen", axis), colour="accent"),
        Line("rejected", *series(metrics, "reward_rejected", axis), colour="series-2"),
    )
    chart = Curves(
        lines,
        axis.label,
        "reward, nats x beta",
        f"Rewards of {run}: "
        + ", ".join(f"{line.label} ends at {decimal(line.y[-1], 3)}" for line in lines if line.y)
        + ".",
        (Level("the reference model", 0.0),),
        whole_x=axis.is_whole,
    )
    return Plot(
        f"Rewards: {run}",
        chart,
        what="""beta x (log-probability of an answer under the model - under the reference model), mean over a
        step.""",
        good=_reading(*(line.y[-1] if line.y else math.nan for line in lines)),
    )


def _reading(chosen: float, rejected: float) -> str:
    """Return what a good result looks like, and what this one does."""
    good = "The reward of rejected answers falls, and that of chosen answers does not."
    if chosen < 0 and rejected < 0:
        return f"{good} Here both fell: the model became worse at both, and only their difference grew."
    return good
