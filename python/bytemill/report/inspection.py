"""A page that shows the tokens of a text, and the merges that made them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.blocks import Block, Prose, Table
from bytemill.report.figures import count, decimal, token_text
from bytemill.report.page import Page, Section
from bytemill.report.token_strip import token_strip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.tokenizer.pieces import Piece
    from bytemill.tokenizer.trace import PretokenTrace

__all__ = ["inspection_page", "trace_table"]


def inspection_page(
    texts: Sequence[tuple[Piece, ...]], traces: Sequence[PretokenTrace] = (), *, provenance: str = ""
) -> Page:
    """Return a page with the tokens of each text; with traces, also a table of merges per pretoken."""
    n_tokens = sum(map(len, texts))
    n_bytes = sum(len(piece.token) for pieces in texts for piece in pieces)
    strips = tuple(
        token_strip("Text" if len(texts) == 1 else f"Text {i}", found) for i, found in enumerate(texts, start=1)
    )
    sections = [Section("Tokens", (Prose(_ABOUT), *strips))]
    merged: tuple[Block, ...] = tuple(trace_table(one) for one in traces if one.steps)
    if merged:
        sections.append(Section("Merges", (Prose(_ABOUT_MERGES), *merged)))
    per_token = decimal(n_bytes / max(1, n_tokens))
    return Page(
        title="Tokens of a text" if len(texts) == 1 else f"Tokens of {len(texts)} texts",
        verdict=f"{count(n_bytes)} bytes are {count(n_tokens)} tokens: {per_token} bytes per token.",
        sections=tuple(sections),
        kicker="bytemill tokenizer inspect",
        provenance=provenance,
    )


def trace_table(trace: PretokenTrace) -> Table:
    """Return a table with one row per merge of a pretoken."""
    rows = tuple(
        (str(number), f"{token_text(step.left)} + {token_text(step.right)}", count(step.rank), _joined(step.pieces))
        for number, step in enumerate(trace.steps, start=1)
    )
    ids = " ".join(str(token.id) for token in trace.tokens)
    caption = f"“{token_text(trace.pretoken)}” → {ids}"
    return Table(caption, ("step", "merge", "rank", "pieces"), rows, numeric=(0, 2), code=(1, 3))


_ABOUT = """Each coloured box is one token, with its id below. ␣ is a space, ↵ the end of a line; bytes that are not a
whole character are shown as `\\x…`."""

_ABOUT_MERGES = """The pattern splits the text into pretokens. In each pretoken, the two neighbours whose merge was
learned first are merged, until no learned merge is left. The rank is the position of the merge in the vocabulary."""


def _joined(pieces: Sequence[bytes]) -> str:
    return "|".join(map(token_text, pieces))
