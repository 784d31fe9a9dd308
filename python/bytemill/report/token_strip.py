"""A block of a page that shows tokens in alternating colours with their ids below."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bytemill.escape import escape
from bytemill.report.figures import token_text
from bytemill.tokenizer.pieces import Piece

__all__ = ["ShownToken", "TokenStrip", "TokenStrips", "token_strip"]

N_COLOURS = 4


@dataclass(frozen=True)
class ShownToken:
    """One token of a strip."""

    id: int
    text: str
    """The token with visible spaces and line ends."""
    is_special: bool = False


@dataclass(frozen=True)
class TokenStrip:
    """The tokens of a text, as a list for screen readers; each entry is a token and its id."""

    label: str
    """Name of the text or of the tokenizer."""
    tokens: tuple[ShownToken, ...]
    kind: Literal["token strip"] = "token strip"

    @property
    def count(self) -> str:
        """The number of tokens in words."""
        n_tokens = len(self.tokens)
        return f"{n_tokens:,} token{'' if n_tokens == 1 else 's'}"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        items = "".join(_item(place, token) for place, token in enumerate(self.tokens))
        label = escape(self.label)
        return (
            f'<figure class="tokens"><figcaption>{label} <span>{self.count}</span></figcaption>\n'
            f'<ol aria-label="{label}: {self.count}">{items}</ol></figure>\n'
        )


@dataclass(frozen=True)
class TokenStrips:
    """The same text tokenized by several tokenizers, side by side."""

    title: str
    strips: tuple[TokenStrip, ...]
    kind: Literal["token strips"] = "token strips"

    def html(self, level: int = 3) -> str:
        """Return the block as HTML."""
        inner = "".join(strip.html(level) for strip in self.strips)
        return f'<article><h{level}>{escape(self.title)}</h{level}>\n<div class="columns">{inner}</div></article>\n'


def token_strip(label: str, pieces: Iterable[Piece]) -> TokenStrip:
    """Return the strip of a text's tokens."""
    return TokenStrip(label, tuple(ShownToken(one.id, token_text(one.token), one.is_special) for one in pieces))


def _item(place: int, token: ShownToken) -> str:
    kind = "special" if token.is_special else f"token-{place % N_COLOURS + 1}"
    return f'<li class="{kind}"><span>{escape(token.text)}</span> <small>{token.id}</small></li>'
