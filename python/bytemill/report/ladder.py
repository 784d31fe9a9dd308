"""The page of a ladder: tokens a second of each rung, here and on the reports' 3090."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.figures import count, decimal
from bytemill.report.page import Page, Plot, Prose, Section, Table
from bytemill.report.plots import bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.experiment.ladder import LadderSize, Measurement

__all__ = ["ladder_page"]


def ladder_page(size: LadderSize, measurements: Sequence[Measurement]) -> Page:
    """One page with a plot and a table."""
    measured = [one for one in measurements if one.tokens_per_s is not None]
    shape = size.model
    lead = (
        f"GPT-2 with {shape.n_layer} layers, {shape.n_head} heads, width {shape.n_embd}; "
        f"{size.batch_size} x {size.seq_len} tokens a step."
    )
    if len(measured) > 1:
        gain = (measured[-1].tokens_per_s or 0) / (measured[0].tokens_per_s or 1)
        lead = f"{lead} From the first to the last rung: {decimal(gain)} times as fast."
    blocks = (_plot(measured), _table(measurements), Prose(_LOSS_NOTE))
    return Page("The ladder", lead, (Section("Every rung on this machine", blocks),), kicker="bytemill ladder")


_LOSS_NOTE = """The loss of the tenth step tells that a rung is only faster: the same weights saw the same tokens,
so the losses agree within the precision of the numbers. A padded vocabulary draws other random weights, and so differs
a little more.

The last column is what the second source report measured on an RTX 3090 with GPT-2 124M, 4 x 1,024 tokens a step."""


def _plot(measured: Sequence[Measurement]) -> Plot:
    names = tuple(one.rung.name for one in measured)
    speeds = tuple(float(one.tokens_per_s or 0) for one in measured)
    told = ", ".join(f"{name} {count(speed)}" for name, speed in zip(names, speeds, strict=True))
    return Plot(
        "Tokens a second",
        bars("rungs", names, speeds, value_format="{:,.0f}", alt=f"Tokens a second of each rung: {told}."),
        what="Each rung keeps all that the rungs above it have.",
        good="""On a GPU every bar is longer than the one before. On a CPU bf16 brings most, where its units
        multiply it; compiling brings little to a small model.""",
    )


def _table(measurements: Sequence[Measurement]) -> Table:
    header = ("rung", "tokens/s", "loss, step 10", "MiB", "a 3090, reported")
    rows = tuple(_row(one) for one in measurements)
    return Table("Every rung", header, rows, numeric=(1, 2, 3, 4))


def _row(one: Measurement) -> tuple[str, ...]:
    reported = count(one.rung.reported_tokens_per_s)
    if one.tokens_per_s is None or one.loss is None or one.memory_mib is None:
        return (one.rung.name, one.left_out or "", "", "", reported)
    return (one.rung.name, count(one.tokens_per_s), decimal(one.loss, 4), count(one.memory_mib), reported)
