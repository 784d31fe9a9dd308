"""The plots of a page as data: curves, bars, dots and heat maps, each with its numbers and a way to draw itself.

A chart draws itself on matplotlib axes with the colours that it gets; `drawing.py` makes SVG and PNG of it. As data it
can be written into a page's record, drawn again later, and exported as CSV.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bytemill.escape import visible

__all__ = ["SERIES", "Bars", "Chart", "Curves", "Dots", "HeatMap", "Level", "Line"]

SERIES = ("accent", "series-2", "series-3", "series-4", "series-5", "series-6")
"""Colours of lines in the same plot, as names of the page's CSS variables."""

Number = int | float
"""Two types, so that a record of a page keeps whole numbers whole."""
Colours = Mapping[str, str]
Columns = tuple[tuple[str, ...], list[tuple[Any, ...]]]
"""Header and rows of a chart's numbers."""

_MAX_POINTS = 400
_MAX_LABEL_CHARACTERS = 24
_MAX_DOT_LABEL = 30
_MAX_TICKS = 7  # numbers that fit next to each other on a phone
_ROW_HEIGHT = 22
_LONG_NUMBER = 1e4  # from here on, ticks have thousands separators


@dataclass(frozen=True)
class Line:
    """One curve."""

    label: str
    x: Sequence[Number]
    y: Sequence[Number]
    """Same length as `x`; NaN and infinite values leave a gap."""
    colour: str = "accent"
    """`"ink"`, `"muted"` or one of SERIES."""
    width: Number = 2.0
    """Line width in CSS pixels."""
    marked: bool = False
    """Whether each point has a dot."""
    dashed: bool = False

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y):
            raise ValueError(f"line {self.label!r} has {len(self.x)} values of x but {len(self.y)} of y")

    def thinned(self) -> tuple[list[float], list[float]]:
        """Return at most about 400 points, including the last one."""
        step = max(1, math.ceil(len(self.x) / _MAX_POINTS))
        chosen = sorted({*range(0, len(self.x), step), *range(len(self.x))[-1:]})
        y = [self.y[i] if math.isfinite(self.y[i]) else math.nan for i in chosen]
        return [self.x[i] for i in chosen], y


@dataclass(frozen=True)
class Level:
    """A horizontal reference line with a label."""

    label: str
    y: Number


@dataclass(frozen=True)
class Curves:
    """Curves over a common x axis."""

    lines: tuple[Line, ...]
    x_label: str
    """Quantity and unit of x."""
    y_label: str
    """Quantity and unit of y."""
    alt: str
    """Text alternative: what the plot shows, in a sentence."""
    levels: tuple[Level, ...] = ()
    x_log2: bool = False
    """Whether the x axis is logarithmic (base 2)."""
    y_from_zero: bool = False
    whole_x: bool = False
    """Whether x counts something, so that its ticks are whole numbers."""
    kind: Literal["curves"] = "curves"

    @property
    def legend(self) -> tuple[Line, ...]:
        """Lines of the legend; none if there is only one line."""
        return self.lines if len(self.lines) > 1 else ()

    @property
    def height(self) -> int | None:
        """Height in CSS pixels; None for the usual one."""
        return None

    def columns(self) -> Columns:
        """Return all points as (curve, x, y)."""
        rows = [(line.label, x, y) for line in self.lines for x, y in zip(line.x, line.y, strict=True)]
        return ("curve", self.x_label, self.y_label), rows

    def draw_legend(self, axes: Any) -> None:
        """Draw the legend into the plot, for a file of its own; on a page it is above the plot."""
        if self.legend:
            labels = [_plain(line.label) for line in self.legend]
            axes.legend(axes.lines[: len(labels)], labels, frameon=False, fontsize=10)

    def draw(self, axes: Any, colours: Colours) -> None:
        """Draw the curves."""
        for line in self.lines:
            axes.plot(
                *line.thinned(),
                color=colours[line.colour],
                linewidth=line.width,
                linestyle=(0, (4, 2)) if line.dashed else "-",
                marker="o" if line.marked else None,
                markersize=4.5,
                solid_capstyle="round",
                solid_joinstyle="round",
            )
        for level in self.levels:
            _draw_level(axes, level, colours)
        if self.x_log2:
            _double_x(axes, self.lines)
        elif self.whole_x:
            _whole_ticks(axes)
        if self.y_from_zero:
            axes.set_ylim(0, 1.04 * axes.get_ylim()[1])
        if max(map(abs, axes.get_ylim())) >= _LONG_NUMBER:
            axes.yaxis.set_major_formatter("{x:,.0f}")
        if not any(math.isfinite(value) for line in self.lines for value in line.y):
            axes.text(0.5, 0.5, "no values were logged", ha="center", transform=axes.transAxes)
        axes.set_xlabel(_plain(self.x_label))
        # Horizontal above the axis, which is easy to read and leaves the full width to the curves.
        axes.set_title(_plain(self.y_label), loc="left", fontsize=11, pad=10, color=colours["muted"])
        axes.grid(axis="y", color=colours["line"], linewidth=1)


@dataclass(frozen=True)
class Bars:
    """One horizontal bar per label, the first on top, each followed by its value."""

    labels: tuple[str, ...]
    """Labels of more than 24 characters are truncated in the plot."""
    values: tuple[Number, ...]
    """One value per bar, 0 or more."""
    alt: str
    """Text alternative: what the plot shows, in a sentence."""
    value_format: str = "{:g}"
    """Format of the values; there is no axis with numbers."""
    label_title: str = ""
    """Title above the labels."""
    kind: Literal["bars"] = "bars"

    @property
    def legend(self) -> tuple[Line, ...]:
        """No legend is needed."""
        return ()

    @property
    def height(self) -> int | None:
        """Height in CSS pixels."""
        return 60 + _ROW_HEIGHT * len(self.values)

    def columns(self) -> Columns:
        """Return (label, value) of each bar."""
        return (self.label_title or "label", "value"), list(zip(self.labels, self.values, strict=True))

    def draw(self, axes: Any, colours: Colours) -> None:
        """Draw the bars."""
        places = range(len(self.values))
        axes.barh(places, self.values, height=0.62, color=colours["accent"])
        for place, value in zip(places, self.values, strict=True):
            text = self.value_format.format(value)
            axes.annotate(text, (value, place), (5, 0), textcoords="offset points", va="center")
        _label_rows(axes, self.labels, colours)
        axes.set_xticks([])
        axes.margins(x=0.14, y=0.02)
        axes.set_title(_plain(self.label_title), loc="left", fontsize=11, pad=6, color=colours["muted"])
        axes.spines["bottom"].set_visible(False)


@dataclass(frozen=True)
class Dots:
    """One row per label, the first on top, with one dot per measurement and a line across their range.

    The axis is cut to the values, because small differences between large numbers are what such a plot shows.
    """

    labels: tuple[str, ...]
    values: tuple[tuple[Number, ...], ...]
    """One or more values per label."""
    x_label: str
    alt: str
    """Text alternative: what the plot shows, in a sentence."""
    kind: Literal["dots"] = "dots"

    @property
    def legend(self) -> tuple[Line, ...]:
        """No legend is needed."""
        return ()

    @property
    def height(self) -> int | None:
        """Height in CSS pixels."""
        return 80 + _ROW_HEIGHT * len(self.labels)

    def columns(self) -> Columns:
        """Return (label, value) of each dot."""
        pairs = zip(self.labels, self.values, strict=True)
        return ("label", self.x_label), [(label, value) for label, values in pairs for value in values]

    def draw(self, axes: Any, colours: Colours) -> None:
        """Draw the dots."""
        for place, values in enumerate(self.values):
            axes.plot(
                [min(values), max(values)], [place, place], color=colours["accent"], linewidth=3, alpha=0.35,
                solid_capstyle="round",
            )  # fmt: skip
            axes.plot(values, [place] * len(values), "o", color=colours["accent"], markersize=7)
        _label_rows(axes, self.labels, colours, most=_MAX_DOT_LABEL)
        axes.set_ylim(len(self.labels) - 0.4, -0.6)
        axes.margins(x=0.06)
        axes.locator_params(axis="x", nbins=_MAX_TICKS - 2)
        axes.grid(axis="x", color=colours["line"], linewidth=1)
        axes.set_xlabel(_plain(self.x_label))


@dataclass(frozen=True)
class HeatMap:
    """A table of numbers whose colour says how low they are; the lowest has a frame."""

    row_title: str
    rows: tuple[str, ...]
    column_title: str
    column_labels: tuple[str, ...]
    """Labels of the columns."""
    values: tuple[tuple[Number, ...], ...]
    """One tuple per row; NaN for an empty cell."""
    alt: str
    """Text alternative: what the plot shows, in a sentence."""
    value_format: str = "{:.3f}"
    kind: Literal["heat map"] = "heat map"

    @property
    def legend(self) -> tuple[Line, ...]:
        """No legend is needed."""
        return ()

    @property
    def height(self) -> int | None:
        """Height in CSS pixels."""
        return 90 + 34 * len(self.rows)

    def columns(self) -> Columns:
        """Return (row, column, value) of each cell."""
        cells = [
            (row, column, value)
            for row, values in zip(self.rows, self.values, strict=True)
            for column, value in zip(self.column_labels, values, strict=True)
        ]
        return (self.row_title, self.column_title, "value"), cells

    def draw(self, axes: Any, colours: Colours) -> None:
        """Draw the cells."""
        finite = [value for row in self.values for value in row if math.isfinite(value)]
        low, high = min(finite, default=0.0), max(finite, default=0.0)
        for y, row in enumerate(self.values):
            for x, value in enumerate(row):
                if math.isfinite(value):
                    self._cell(axes, colours, x, y, value, (high - value) / (high - low) if high > low else 0.0)
        axes.set_xlim(-0.5, len(self.column_labels) - 0.5)
        _label_rows(axes, self.rows, colours)
        axes.set_ylim(len(self.rows) - 0.5, -0.5)
        axes.set_xticks(
            range(len(self.column_labels)), [_short(one) for one in self.column_labels], color=colours["ink"]
        )
        axes.set_xlabel(_plain(self.column_title))
        axes.set_title(_plain(self.row_title), loc="left", fontsize=11, pad=8, color=colours["muted"])
        axes.spines["bottom"].set_visible(False)

    def _cell(self, axes: Any, colours: Colours, x: int, y: int, value: float, share: float) -> None:
        from matplotlib.patches import Rectangle

        box = ((x - 0.47, y - 0.46), 0.94, 0.92)
        axes.add_patch(Rectangle(*box, facecolor=colours["accent"], alpha=0.06 + 0.44 * share, linewidth=0))
        if share == 1:
            axes.add_patch(Rectangle(*box, fill=False, edgecolor=colours["ink"], linewidth=2))
        axes.text(x, y, self.value_format.format(value), ha="center", va="center")


Chart = Curves | Bars | Dots | HeatMap


def _draw_level(axes: Any, level: Level, colours: Colours) -> None:
    axes.axhline(level.y, color=colours["muted"], linewidth=1.2, linestyle=(0, (2, 2)))
    axes.annotate(
        _plain(level.label),
        (1, level.y),
        (0, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=colours["muted"],
    )


def _double_x(axes: Any, lines: Sequence[Line]) -> None:
    """Set one tick on x per doubling, or per several doublings, with plain numbers."""
    axes.set_xscale("log", base=2)
    values = sorted({value for line in lines for value in line.x if value > 0})
    n_doublings = round(math.log2(values[-1] / values[0])) if values else 0
    stride = 1 + n_doublings // _MAX_TICKS
    ticks = [values[0] * 2**i for i in range(0, n_doublings + 1, stride)] if values else []
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
    axes.minorticks_off()


def _whole_ticks(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=_MAX_TICKS, integer=True, min_n_ticks=1))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _label_rows(axes: Any, labels: Sequence[str], colours: Colours, *, most: int = _MAX_LABEL_CHARACTERS) -> None:
    axes.set_yticks(range(len(labels)), [_short(label, most) for label in labels], color=colours["ink"])
    axes.invert_yaxis()


def _plain(text: str) -> str:
    """Return the text on one line, with only characters that matplotlib can draw."""
    return " ".join(visible(text).split())


def _short(label: str, most: int = _MAX_LABEL_CHARACTERS) -> str:
    return _plain(f"{label[: most - 1]}…" if len(label) > most else label)
