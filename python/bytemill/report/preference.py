"""Plots of preference tuning: margins and rewards of chosen and rejected answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.figures import decimal
from bytemill.report.metrics_plots import STEPS, Axis, overlaid_plot, series
from bytemill.report.page import Block, Plot
from bytemill.report.plots import Level, Line, curves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bytemill.experiment.demo.results import Metrics

__all__ = ["IN_PREFERENCE_RUNS", "PREFERENCE_KEYS", "is_preference_run", "preference_plots"]

_OVERLAID = (
    (
        "val_margin",
        "Margin on the validation set",
        "nats x beta",
        "Reward of the chosen answer minus reward of the rejected answer, on the validation set.",
    ),
    ("margin", "Margin in training", "nats x beta", "The margin on the pairs of each step; it begins at 0."),
)
PREFERENCE_KEYS = {*(key for key, *_ in _OVERLAID), "reward_chosen", "reward_rejected"}
"""Metrics that `preference_plots` shows, so that other plots leave them out."""

IN_PREFERENCE_RUNS = {
    "val_loss": ("nats per pair", "The loss on the validation set; every run begins at ln 2, 0.69."),
    "loss": ("nats per pair", "The loss on the pairs of each step; every run begins at ln 2, 0.69."),
    "val_accuracy": (
        "fraction of pairs ranked correctly",
        "Fraction of validation pairs whose chosen answer has the higher reward; guessing gives 0.5.",
    ),
}
"""Unit and meaning of metrics that other runs also log."""


def is_preference_run(metrics: Metrics) -> bool:
    """Return whether the run was preference tuning."""
    return any("reward_chosen" in row for row in metrics)


def preference_plots(runs: Mapping[str, Metrics], axis: Axis = STEPS) -> list[Block]:
    """Return plots of the margins of all preference runs together, then of the rewards of each run."""
    chosen = {name: metrics for name, metrics in runs.items() if is_preference_run(metrics)}
    blocks: list[Block] = []
    for key, title, unit, what in _OVERLAID:
        plot = overlaid_plot(key.replace("_", "-"), title, chosen, key, y_label=unit, what=what, axis=axis)
        blocks += [plot] if plot else []
    return blocks + [_rewards(f"rewards-{i}", name, metrics, axis) for i, (name, metrics) in enumerate(chosen.items())]


def _rewards(plot_name: str, run: str, metrics: Metrics, axis: Axis) -> Plot:
    lines: Sequence[Line] = [
        Line("chosen", *series(metrics, "reward_chosen", axis), colour="accent"),
        Line("rejected", *series(metrics, "reward_rejected", axis), colour="series-2"),
    ]
    ends = ", ".join(f"{line.label} ends at {decimal(line.y[-1], 3)}" for line in lines if line.y)
    drawing = curves(
        plot_name,
        lines,
        x_label=axis.label,
        y_label="reward, nats x beta",
        levels=[Level("the reference model", 0.0)],
        alt=f"Rewards of {run}: {ends}.",
    )
    return Plot(
        f"Rewards: {run}",
        drawing,
        what="""beta x (log-probability of an answer under the model - under the reference model), mean over a
        step.""",
        good="""The reward of rejected answers falls, and that of chosen answers does not. If both fall, the model
        becomes worse at both, and only their difference grows.""",
    )
