"""The page of a ladder: the speed of each rung on this machine, and published speeds on an RTX 3090."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.figures import count, decimal
from bytemill.report.page import Block, Page, Plot, Prose, Section, Table
from bytemill.report.plots import bars

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.experiment.ladder import Ladder, Measurement

__all__ = ["ladder_page"]

_FOOTER = "Written by bytemill. This page is one file: it loads nothing, and you can send it as it is."


def ladder_page(ladder: Ladder) -> Page:
    """Return a page with a plot, a table, and the reasons for skipped rungs."""
    measured = [one for one in ladder.measurements if one.left_out is None]
    lead = f"GPT-2 with {ladder.size.described()}. Measured on {ladder.place_and_date}."
    lead = f"{lead} {_verdict(measured)}"
    blocks: list[Block] = [_plot(measured), _table(ladder)]
    left_out = [one for one in ladder.measurements if one.left_out is not None]
    if left_out:
        rows = tuple((one.name, one.left_out or "") for one in left_out)
        blocks.append(Table("Skipped rungs", ("rung", "reason"), rows))
    sections = (Section("Training speed", tuple(blocks)), Section("Notes", (Prose(_NOTES),)))
    return Page("Training speed ladder", lead, sections, kicker="bytemill ladder", footer=_FOOTER)


def _verdict(measured: Sequence[Measurement]) -> str:
    best = max(measured, key=lambda one: one.factor_first or 0, default=None)
    if best is None:
        return "No rung could be measured."
    if best is measured[0]:
        return f"No rung is faster than {best.name} on this machine."
    return f"The fastest rung is `{best.name}`, {decimal(best.factor_first or 1)} times as fast as {measured[0].name}."


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
        bars("rungs", names, speeds, value_format="{:,.0f}", alt=f"Tokens per second of each rung: {listed}."),
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
