"""Draws a chart with matplotlib: as inline SVG with the colours and the font of the page, or as a file of its own.

On a page, matplotlib draws with placeholder colours, which are replaced by the page's CSS variables, so a drawing works
in light and dark mode. Text stays text. A page has each plot twice, for wide screens and for phones, because text
that shrinks with its plot is hard to read; the page shows one of them. Global state of matplotlib is not changed.
"""

import io
import re
import warnings
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal

from bytemill.escape import escape
from bytemill.notebook.backend import imported_matplotlib
from bytemill.report.charts import SERIES, Chart, Curves

__all__ = ["inline_svg", "plot_file"]

Size = Literal["wide", "narrow", "small"]

# Each name is a CSS variable of page.css; the placeholders are colours that are not used elsewhere.
_STAND_INS = {name: f"#0102{i:02x}" for i, name in enumerate(("ink", "muted", "line", *SERIES), start=1)}
# Widths and heights in CSS pixels; matplotlib's SVG has 72 units an inch.
_SIZES: dict[Size, tuple[int, int]] = {"wide": (560, 290), "narrow": (350, 270), "small": (350, 210)}
_PNG_DOTS_PER_INCH = 200
_CHINESE_FONTS = (
    "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "PingFang SC", "Hiragino Sans GB", "Microsoft YaHei", "SimHei", "Arial Unicode MS",
)  # fmt: skip


def inline_svg(chart: Chart, name: str, size: Size) -> str:
    """Return the chart as an `<svg>` element for a page.

    Args:
        chart: The chart.
        name: Unique name on the page, of letters, digits and hyphens: prefix of the SVG's ids.
        size: "wide" for a column, "narrow" for a phone, "small" for small multiples.
    """
    width, height = _size(chart, size)
    with warnings.catch_warnings():
        # The browser's fonts draw the text, so missing glyphs in matplotlib's font do not matter.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        svg = _drawn(chart, _STAND_INS, (width, height), "svg", salt=name).decode()
    return _inline(svg, f"{name}-{size}", chart.alt, width, height)


def plot_file(chart: Chart, form: Literal["svg", "png"]) -> tuple[bytes, bool]:
    """Return the chart as a file in the light colours of a page, and whether a font lacks some of its characters."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        content = _drawn(chart, _light_colours(), _size(chart, "wide"), form, salt=chart.alt, has_legend=True)
    return content, form == "png" and any("missing from" in str(one.message) for one in caught)


def _size(chart: Chart, size: Size) -> tuple[int, int]:
    width, height = _SIZES[size]
    return width, chart.height or height


def _drawn(
    chart: Chart, colours: Mapping[str, str], size: tuple[int, int], form: str, *, salt: str, has_legend: bool = False
) -> bytes:
    mpl = imported_matplotlib()
    from matplotlib.figure import Figure

    width, height = size
    with mpl.rc_context():
        mpl.rcdefaults()
        rc: Any = mpl.rcParams
        rc.update(_settings(colours, salt))
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        axes = figure.subplots()
        axes.set_axisbelow(True)
        axes.tick_params(length=0, pad=6)
        axes.spines[["top", "right", "left"]].set_visible(False)
        chart.draw(axes, colours)
        if has_legend and isinstance(chart, Curves):
            chart.draw_legend(axes)
        file = io.BytesIO()
        if form == "png":
            figure.savefig(file, format="png", dpi=_PNG_DOTS_PER_INCH, facecolor="white", metadata={"Software": None})
        else:
            figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _settings(colours: Mapping[str, str], salt: str) -> dict[str, Any]:
    from matplotlib.font_manager import fontManager

    there = {font.name for font in fontManager.ttflist}
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,  # equal results give equal bytes
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": colours["line"],
        "axes.labelcolor": colours["muted"],
        "text.color": colours["ink"],
        "text.parse_math": False,  # the name of a metric may be $\\frac{$
        "xtick.color": colours["muted"],
        "ytick.color": colours["muted"],
        "font.family": ["DejaVu Sans", *(font for font in _CHINESE_FONTS if font in there)],
        "font.size": 11,
        "axes.labelsize": 11,
        "axes.formatter.useoffset": False,
    }


def _light_colours() -> dict[str, str]:
    """Return the colours of the style sheet's first block."""
    style = files("bytemill.report").joinpath("page.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", style[: style.index("}")]))
    return {name: found[name] for name in _STAND_INS}


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
