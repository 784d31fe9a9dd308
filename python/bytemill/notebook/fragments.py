"""Writes small HTML for notebooks: a table of facts, coloured tokens, and a frame around a whole page.

JupyterLab, Colab and nbviewer put an output into their own page, where a style sheet would change everything else. So
small pieces have only inline styles, which also pass the filter for notebooks that are not trusted. A whole page goes
into an `<iframe>` with its own document. A declarative shadow root would not work: JupyterLab sets `innerHTML`, which
ignores it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.escape import escape
from bytemill.places import without_user

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["coloured", "facts", "framed"]

_COLOURS = ("#d9efec", "#fbe3d8", "#e6e3f8", "#f5ebc8")
_SPECIAL = "#f6c4c4"
_LEFT = "text-align:left;vertical-align:top"


def facts(title: str, rows: Mapping[str, str], note: str = "") -> str:
    """Return a table of names and values under a title; `note` is a sentence below it.

    >>> print(facts("A run", {"steps": "<3>"}).count("&lt;3&gt;"))
    1
    """
    lines = "".join(
        f'<tr><th scope="row" style="{_LEFT};font-weight:normal">{escape(name)}</th>'
        f'<td style="{_LEFT}">{escape(value)}</td></tr>'
        for name, value in rows.items()
    )
    below = f"<div>{escape(note)}</div>" if note else ""
    return without_user(f"<div><strong>{escape(title)}</strong><table><tbody>{lines}</tbody></table>{below}</div>")


def coloured(tokens: Iterable[tuple[str, int, bool]], note: str = "") -> str:
    """Return tokens in alternating colours with their ids in small digits, as on a terminal.

    Args:
        tokens: The text, the id, and whether the token is special.
        note: A sentence below the tokens.
    """
    items = []
    for place, (text, number, is_special) in enumerate(tokens):
        colour = _SPECIAL if is_special else _COLOURS[place % len(_COLOURS)]
        items.append(
            f'<span style="display:inline-block;margin:0 1px 4px 0">'
            f'<span style="background-color:{colour};color:#191d20;padding:1px 2px;border-radius:3px;'
            f'white-space:pre-wrap">{escape(text)}</span>'
            f'<span style="font-size:70%;opacity:0.7">{number}</span></span>'
        )
        if text.endswith("\\n"):
            items.append("<br>")
    below = f'<div style="opacity:0.7">{escape(note)}</div>' if note else ""
    return f'<div><div style="font-family:monospace;line-height:1.6">{"".join(items)}</div>{below}</div>'


def framed(page: str, title: str, height_px: int = 640) -> str:
    """Return a whole HTML page in a frame: neither the page nor the notebook can change the other.

    Without a `<base>`, a link to a part of the page would load the notebook into the frame.
    """
    page = page.replace("<head>", '<head><base href="about:srcdoc">', 1)
    return (
        f'<iframe title="{escape(title)}" sandbox="allow-scripts" srcdoc="{_quoted(page)}" '
        f'style="width:100%;height:{height_px}px;border:1px solid #8888;border-radius:4px"></iframe>'
    )


def _quoted(page: str) -> str:
    """Return a page as the value of an attribute; its own text is already escaped."""
    return page.replace("&", "&amp;").replace('"', "&quot;")
