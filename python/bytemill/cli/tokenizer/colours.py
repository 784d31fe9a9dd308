"""Show tokens in alternating colours on a terminal, and separated by bars elsewhere."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from bytemill.escape import visible
from bytemill.tokenizer.pieces import Piece, spelled

__all__ = ["coloured", "console"]

_COLOURS = ("black on bright_cyan", "black on bright_yellow", "black on bright_green", "black on bright_magenta")
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def console() -> Console:
    """Return a rich console for stdout: colours only on terminals (NO_COLOR is respected), no wrapping, no markup."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def coloured(pieces: Iterable[Piece], on: Console) -> Text:
    """Return the tokens as one text; on a terminal each is followed by its id in small digits."""
    text = Text()
    for place, piece in enumerate(pieces):
        if not on.is_terminal:
            text.append(("|" if place else "") + spelled(piece.token))
            continue
        style = "black on bright_red" if piece.is_special else _COLOURS[place % len(_COLOURS)]
        text.append(visible(spelled(piece.token)), style=style)
        text.append(str(piece.id).translate(_SUBSCRIPTS), style="dim")
        if piece.token.endswith(b"\n"):
            text.append("\n")
    return text
