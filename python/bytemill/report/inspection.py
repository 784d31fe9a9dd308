"""A text as its tokens, and how merges made them, as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.figures import count, decimal, token_text
from bytemill.report.page import Block, Page, Prose, Section, Table
from bytemill.report.token_strip import TokenStrip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bytemill.tokenizer.pieces import Piece
    from bytemill.tokenizer.trace import PretokenTrace

__all__ = ["inspection_page", "trace_table"]


def inspection_page(texts: Sequence[tuple[Piece, ...]], traces: Sequence[PretokenTrace] = ()) -> Page:
    """Each text as a strip of tokens; with traces, a table for each pretoken that was merged."""
    n_tokens = sum(map(len, texts))
    n_bytes = sum(len(piece.token) for pieces in texts for piece in pieces)
    strips = tuple(
        TokenStrip("Text" if len(texts) == 1 else f"Text {i}", found) for i, found in enumerate(texts, start=1)
    )
    sections = [Section("Tokens", (Prose(_ABOUT), *strips))]
    merged: tuple[Block, ...] = tuple(trace_table(one) for one in traces if one.steps)
    if merged:
        sections.append(Section("How merges made them", (Prose(_ABOUT_MERGES), *merged)))
    per_token = decimal(n_bytes / max(1, n_tokens))
    return Page(
        title="A text and its tokens",
        kicker="bytemill tokenizer inspect",
        lead=f"{count(n_bytes)} bytes became {count(n_tokens)} tokens, {per_token} bytes each.",
        sections=tuple(sections),
        footer="Written by bytemill. This page is one file: it loads nothing, and you can send it as it is.",
    )


def trace_table(trace: PretokenTrace) -> Table:
    """The merges of one pretoken, a row each."""
    rows = tuple(
        (str(number), f"{token_text(step.left)} + {token_text(step.right)}", count(step.rank), _told(step.pieces))
        for number, step in enumerate(trace.steps, start=1)
    )
    ids = " ".join(str(token.id) for token in trace.tokens)
    caption = f"“{token_text(trace.pretoken)}” → {ids}"
    return Table(caption, ("step", "merge", "rank", "pieces"), rows, numeric=(0, 2), code=(1, 3))


_ABOUT = """Each colour is one token, its id below. ␣ is a space, ↵ the end of a line; bytes that are no character by
themselves stand as `\\x…`."""

_ABOUT_MERGES = """The pattern cuts the text into pretokens. In each, the two neighbours whose merge was learnt first
become one, until no neighbours are left that were learnt. The rank is the merge's place in the vocabulary."""


def _told(pieces: Sequence[bytes]) -> str:
    return "|".join(map(token_text, pieces))
