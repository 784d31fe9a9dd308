"""The page of a ladder: the speed of each rung on this machine, and published speeds on an RTX 3090."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.blocks import Block, Plot, Prose, Table
from bytemill.report.charts import Bars
from bytemill.report.figures import count, decimal
from bytemill.report.page import Page, Section
from bytemill.report.verdict import ladder_verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.experiment.ladder import Ladder, Measurement

__all__ = ["ladder_page"]


def ladder_page(ladder: Ladder, *, provenance: str = "") -> Page:
    """Return a page with a plot, a table, and the reasons for skipped rungs."""
    measured = [one for one in ladder.measurements if one.left_out is None]
    blocks: list[Block] = [*([_plot(measured)] if measured else []), _table(ladder)]
    left_out = [one for one in ladder.measurements if one.left_out is not None]
    if left_out:
        rows = tuple((one.name, one.left_out or "") for one in left_out)
        blocks.append(Table("Skipped rungs", ("rung", "reason"), rows))
    return Page(
        f"Training speed ladder: {len(measured)} of {len(ladder.measurements)} rungs measured",
        ladder_verdict([one.name for one in measured], [float(one.tokens_per_s or 0) for one in measured]),
        (Section("Training speed", tuple(blocks)), Section("Notes", (Prose(_NOTES),))),
        kicker="bytemill ladder",
        provenance=provenance or f"Measured on {ladder.place_and_date} · GPT-2 with {ladder.size.described()}",
    )


_NOTES = """Each rung changes one thing of the fastest configuration before it; `x before` is the speed relative to that
configuration. Later rungs do not use a rung that is slower on this machine.

The loss is that of the tenth step. All rungs start from the same weights and train on the same tokens, so their losses
are equal within the precision of the number format.

Fused attention is torch's `scaled_dot_product_attention`, or, in bf16 on a CPU, products for 256 queries at a time. The
rungs before it write the whole matrix of scores to memory.

The last column has published speeds on an RTX 3090, for GPT-2 124M with 4 x 1,024 tokens per step."""


def _plot(measured: Sequence[Measurement]) -> Plot:
    names = tuple(one.name for one in measured)
    speeds = tuple(float(one.tokens_per_s or 0) for one in measured)
    listed = ", ".join(f"{name} {count(speed)}" for name, speed in zip(names, speeds, strict=True))
    return Plot(
        "Tokens per second",
        Bars(names, speeds, f"Tokens per second of each rung: {listed}.", "{:,.0f}"),
        what="Each rung changes one thing of the fastest configuration before it.",
        good="""On a GPU every bar is longer than the one before. On a CPU a small model gains little: most of its
        time is in matrix products, and only a processor with bf16 hardware computes them faster.""",
    )


def _table(ladder: Ladder) -> Table:
    has_memory = any(one.memory_mib is not None for one in ladder.measurements)
    header = (
        "rung",
        "ms per step",
        "tokens/s",
        "x first",
        "x before",
        "loss",
        *(["MiB"] if has_memory else []),
        "tokens/s on an RTX 3090",
    )
    rows = tuple(_row(one, has_memory=has_memory) for one in ladder.measurements)
    return Table(f"All rungs; {ladder.place_and_date}", header, rows, numeric=tuple(range(1, len(header))))


def _row(one: Measurement, *, has_memory: bool) -> tuple[str, ...]:
    forms = [(one.ms_per_step, 1), (one.tokens_per_s, 0), (one.factor_first, 2), (one.factor_before, 2), (one.loss, 4)]
    forms += [(one.memory_mib, 0)] if has_memory else []
    cells = ["–" if figure is None else decimal(figure, digits) for figure, digits in forms]
    return (one.name, *cells, count(one.rung.reported_tokens_per_s))
