"""Plots of preference tuning: how far the liked answers have come away from the others."""

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
        "Margin on pairs kept aside",
        "nats x beta",
        "By how much the reward of the chosen answer exceeds that of the rejected one, on pairs not trained on.",
    ),
    ("margin", "Margin in training", "nats x beta", "The same on the pairs of each step; it begins at 0."),
)
PREFERENCE_KEYS = {*(key for key, *_ in _OVERLAID), "reward_chosen", "reward_rejected"}
"""What `preference_plots` shows of a run, so that nobody else need."""

IN_PREFERENCE_RUNS = {
    "val_loss": ("nats a pair", "The loss on pairs kept aside; ln 2, 0.69, is where every run begins."),
    "loss": ("nats a pair", "The loss on the pairs of each step; ln 2, 0.69, is where every run begins."),
    "val_accuracy": (
        "share of pairs ranked right",
        "Pairs kept aside whose chosen answer has gained more than the rejected one; 0.5 would be guessing.",
    ),
}
"""Unit and meaning of what other runs log too."""


def is_preference_run(metrics: Metrics) -> bool:
    """Whether a run compared answers."""
    return any("reward_chosen" in row for row in metrics)


def preference_plots(runs: Mapping[str, Metrics], axis: Axis = STEPS) -> list[Block]:
    """Margins of all such runs together, then the rewards of each."""
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
        what="beta times what an answer's log-probability has gained on the reference model: the mean over a step.",
        good="""The rejected answers go down and the chosen ones do not: if both fall, the model forgets how to write
        either, and only their distance grows.""",
    )
