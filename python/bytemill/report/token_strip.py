"""A block of a page that shows tokens in alternating colours with their ids below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.report.escape import escape
from bytemill.report.figures import token_text

if TYPE_CHECKING:
    from bytemill.tokenizer.pieces import Piece

__all__ = ["TokenStrip", "TokenStrips"]

N_COLOURS = 4


@dataclass(frozen=True)
class TokenStrip:
    """The tokens of a text, as a list for screen readers; each entry is a token and its id."""

    label: str
    """Name of the text or of the tokenizer."""
    pieces: tuple[Piece, ...]

    def html(self) -> str:
        """Return the block as HTML."""
        n_tokens = len(self.pieces)
        count = f"{n_tokens:,} token{'' if n_tokens == 1 else 's'}"
        items = "".join(_item(place, piece) for place, piece in enumerate(self.pieces))
        label = escape(self.label)
        return (
            f'<figure class="tokens"><figcaption>{label} <span>{count}</span></figcaption>\n'
            f'<ol aria-label="{label}: {count}">{items}</ol></figure>\n'
        )


@dataclass(frozen=True)
class TokenStrips:
    """The same text tokenized by several tokenizers, side by side."""

    title: str
    strips: tuple[TokenStrip, ...]

    def html(self) -> str:
        """Return the block as HTML."""
        inner = "".join(strip.html() for strip in self.strips)
        return f'<article><h3>{escape(self.title)}</h3>\n<div class="columns">{inner}</div></article>\n'


def _item(place: int, piece: Piece) -> str:
    kind = "special" if piece.is_special else f"token-{place % N_COLOURS + 1}"
    return f'<li class="{kind}"><span>{escape(token_text(piece.token))}</span> <small>{piece.id}</small></li>'
