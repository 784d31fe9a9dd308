"""The tokens of a text as an object that shows itself: coloured in a notebook, separated by bars in a terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bytemill.notebook.fragments import coloured
from bytemill.tokenizer.pieces import spelled

if TYPE_CHECKING:
    from bytemill.tokenizer.pieces import Piece

__all__ = ["ShownTokens"]

_MAX_TOKENS = 2_000
"""More tokens make a page slow, and nobody reads them."""


@dataclass(frozen=True, repr=False)
class ShownTokens:
    r"""The tokens of one text; see `Tokenizer.show`.

    >>> from bytemill.tokenizer.pieces import Piece
    >>> ShownTokens((Piece(257, b"low"), Piece(10, b"\n")))
    low|\n
    2 tokens, 4 bytes: 2.00 bytes per token
    """

    pieces: tuple[Piece, ...]

    def __repr__(self) -> str:
        return f"{'|'.join(spelled(piece.token) for piece in self.pieces[:_MAX_TOKENS])}\n{self._counts()}"

    def _repr_html_(self) -> str:
        return coloured(
            ((spelled(piece.token), piece.id, piece.is_special) for piece in self.pieces[:_MAX_TOKENS]), self._counts()
        )

    def _counts(self) -> str:
        n_tokens, n_bytes = len(self.pieces), sum(len(piece.token) for piece in self.pieces)
        found = f"{n_tokens:,} token{'' if n_tokens == 1 else 's'}, {n_bytes:,} byte{'' if n_bytes == 1 else 's'}"
        found += f": {n_bytes / n_tokens:.2f} bytes per token" if n_tokens else ""
        return found + (f"; the first {_MAX_TOKENS:,} are shown" if n_tokens > _MAX_TOKENS else "")
