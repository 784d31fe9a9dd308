"""Draws curves and bars as inline SVG with the colours and the font of the page.

matplotlib draws with placeholder colours, which are replaced by the page's CSS variables, so the same drawing works in
light and dark mode. Text stays text. Each plot is drawn twice, for wide screens and for phones, because text that
shrinks with its plot is hard to read; the page shows one of them. Global state of matplotlib is not changed.
"""

import io
import math
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from bytemill.report.escape import escape, visible

__all__ = ["SERIES", "Drawing", "Level", "Line", "bars", "curves"]

SERIES = ("accent", "series-2", "series-3", "series-4", "series-5", "series-6")
"""Colours of lines in the same plot, as names of the page's CSS variables."""

# Each name is a CSS variable of page.css; the placeholders are colours that are not used elsewhere.
_STAND_INS = {name: f"#0102{i:02x}" for i, name in enumerate(("ink", "muted", "line", *SERIES), start=1)}
# Widths and heights in CSS pixels; matplotlib's SVG has 72 units an inch.
_SIZES = {"wide": (640, 300), "narrow": (350, 270)}
_MAX_POINTS = 400
_MAX_LABEL_CHARACTERS = 24
_MAX_TICKS = 7  # numbers that fit next to each other on a phone


@dataclass(frozen=True)
class Line:
    """One curve."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    """Same length as `x`; NaN and infinite values leave a gap."""
    colour: str = "accent"
    """`"ink"`, `"muted"` or one of SERIES."""
    width: float = 2.0
    """Line width in CSS pixels."""
    marked: bool = False
    """Whether each point has a dot."""
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A horizontal reference line with a label."""

    label: str
    y: float


@dataclass(frozen=True)
class Drawing:
    """A plot as two `<svg>` elements, and the lines of its legend."""

    wide: str
    narrow: str
    lines: tuple[Line, ...] = ()
    """Lines in the legend; empty if no legend is needed."""


def curves(
    name: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    y_label: str,
    alt: str,
    levels: Sequence[Level] = (),
    x_log2: bool = False,
    y_from_zero: bool = False,
) -> Drawing:
    """Draw curves over a common x axis.

    Args:
        name: Unique name on the page, of letters, digits and hyphens: prefix of the SVG's ids.
        lines: Curves to draw; of more than 400 points only every k-th is drawn.
        x_label: Quantity and unit of x.
        y_label: Quantity and unit of y.
        alt: Text alternative: what the plot shows, in a sentence.
        levels: Horizontal reference lines.
        x_log2: Whether the x axis is logarithmic (base 2).
        y_from_zero: Whether the y axis begins at 0.
    """

    def draw(axes: Any) -> None:
        for line in lines:
            x, y = _thinned(line)
            axes.plot(
                x,
                y,
                color=_STAND_INS[line.colour],
                linewidth=line.width,
                linestyle=(0, (4, 2)) if line.dashed else "-",
                marker="o" if line.marked else None,
                markersize=4.5,
                solid_capstyle="round",
                solid_joinstyle="round",
            )
        for level in levels:
            _draw_level(axes, level)
        if x_log2:
            _double_x(axes, lines)
        if y_from_zero:
            axes.set_ylim(bottom=0)
        if not any(math.isfinite(value) for line in lines for value in line.y):
            axes.text(0.5, 0.5, "no values were logged", ha="center", transform=axes.transAxes)
        axes.set_xlabel(_plain(x_label))
        # Horizontal above the axis, which is easy to read and leaves the full width to the curves.
        axes.set_title(_plain(y_label), loc="left", fontsize=11, pad=10, color=_STAND_INS["muted"])
        axes.grid(axis="y", color=_STAND_INS["line"], linewidth=1)

    return _drawn(name, draw, alt, legend=tuple(lines) if len(lines) > 1 else ())


def bars(
    name: str,
    labels: Sequence[str],
    values: Sequence[float],
    *,
    alt: str,
    value_format: str = "{:g}",
    label_title: str = "",
) -> Drawing:
    """Draw one horizontal bar per label, the first on top, each followed by its value.

    Args:
        name: Unique name on the page, of letters, digits and hyphens: prefix of the SVG's ids.
        labels: One label per bar; labels of more than 24 characters are truncated.
        values: One value per bar, 0 or more.
        alt: Text alternative: what the plot shows, in a sentence.
        value_format: Format of the values; there is no axis with numbers.
        label_title: Title above the labels.
    """

    def draw(axes: Any) -> None:
        places = range(len(values))
        axes.barh(places, values, height=0.62, color=_STAND_INS["accent"])
        for place, value in zip(places, values, strict=True):
            text = value_format.format(value)
            axes.annotate(text, (value, place), (5, 0), textcoords="offset points", va="center")
        axes.set_yticks(places, [_short(label) for label in labels], color=_STAND_INS["ink"])
        axes.set_xticks([])
        axes.invert_yaxis()
        axes.margins(x=0.14, y=0.02)
        axes.set_title(_plain(label_title), loc="left", fontsize=11, pad=6, color=_STAND_INS["muted"])
        axes.spines["bottom"].set_visible(False)

    return _drawn(name, draw, alt, legend=(), height=60 + 22 * len(values))


def _drawn(
    name: str, draw: Callable[[Any], None], alt: str, *, legend: tuple[Line, ...], height: int | None = None
) -> Drawing:
    svgs = {}
    for size, (width, usual_height) in _SIZES.items():
        height_px = height or usual_height
        with mpl.rc_context(), warnings.catch_warnings():
            # The browser's fonts draw the text, so missing glyphs in matplotlib's font do not matter.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
            mpl.rcdefaults()
            rc: Any = mpl.rcParams
            rc.update(_settings(name))
            figure = Figure(figsize=(width / 72, height_px / 72), dpi=72, layout="constrained")
            axes = figure.subplots()
            axes.set_axisbelow(True)
            axes.tick_params(length=0, pad=6)
            axes.spines[["top", "right", "left"]].set_visible(False)
            draw(axes)
            file = io.StringIO()
            figure.savefig(file, format="svg", metadata={"Date": None})
        svgs[size] = _inline(file.getvalue(), f"{name}-{size}", alt, width, height_px)
    return Drawing(wide=svgs["wide"], narrow=svgs["narrow"], lines=legend)


def _settings(name: str) -> dict[str, Any]:
    ink, muted, line = (_STAND_INS[colour] for colour in ("ink", "muted", "line"))
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": name,  # equal results give equal bytes
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": line,
        "axes.labelcolor": muted,
        "text.color": ink,
        "text.parse_math": False,  # the name of a metric may be $\\frac{$
        "xtick.color": muted,
        "ytick.color": muted,
        "font.size": 11,
        "axes.labelsize": 11,
        "axes.formatter.useoffset": False,
    }


def _draw_level(axes: Any, level: Level) -> None:
    muted = _STAND_INS["muted"]
    axes.axhline(level.y, color=muted, linewidth=1.2, linestyle=(0, (2, 2)))
    axes.annotate(
        _plain(level.label),
        (1, level.y),
        (0, 4),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        color=muted,
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


def _thinned(line: Line) -> tuple[list[float], list[float]]:
    """Return at most about 400 points of a line, including the last one."""
    if len(line.x) != len(line.y):
        raise ValueError(f"line {line.label!r} has {len(line.x)} values of x but {len(line.y)} of y")
    step = max(1, math.ceil(len(line.x) / _MAX_POINTS))
    chosen = sorted({*range(0, len(line.x), step), *range(len(line.x))[-1:]})
    y = [line.y[i] if math.isfinite(line.y[i]) else math.nan for i in chosen]
    return [line.x[i] for i in chosen], y


def _plain(text: str) -> str:
    """Return the text on one line, with only characters that matplotlib can draw."""
    return " ".join(visible(text).split())


def _short(label: str) -> str:
    is_long = len(label) > _MAX_LABEL_CHARACTERS
    return _plain(f"{label[: _MAX_LABEL_CHARACTERS - 1]}…" if is_long else label)


def _inline(svg: str, prefix: str, alt: str, width: int, height: int) -> str:
    """Turn matplotlib's SVG file into an element for a page with other SVGs."""
    body = svg[svg.index("<g id=") : svg.rindex("</svg>")]
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = body.replace("url(#", f"url(#{prefix}-").replace('xlink:href="#', f'href="#{prefix}-')
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    # Round coordinates to a hundredth of a pixel, only inside tags, because tick labels are text between tags.
    body = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d{2})\d+", r"\1", tag[0]), body)
    for name, colour in _STAND_INS.items():
        body = body.replace(colour, f"var(--{name})")
    return f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width} {height}">{body.strip()}</svg>'
