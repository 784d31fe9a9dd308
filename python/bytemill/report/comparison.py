"""Writes a comparison of tokenizers as a page, as Markdown and as text tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bytemill.report.blocks import Block, Details, Prose, Table
from bytemill.report.figures import count, decimal
from bytemill.report.page import Page, Section
from bytemill.report.text_tables import markdown_table, plain_table
from bytemill.report.token_strip import TokenStrips, token_strip
from bytemill.report.verdict import tokenizers_verdict
from bytemill.tokenizer.pieces import spelled

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytemill.tokenizer.compare import TokenizerComparison
    from bytemill.tokenizer.pieces import Piece

__all__ = ["comparison_markdown", "comparison_page", "comparison_text"]


def comparison_page(comparison: TokenizerComparison, *, provenance: str = "") -> Page:
    """Return the comparison as a page."""
    sections = [
        Section("The vocabularies", (_sizes(comparison), Details("First and last entries", (_ends(comparison),))))
    ]
    if comparison.words:
        sections.insert(0, Section("Words", tuple(_strips(comparison))))
    if comparison.texts:
        sections.insert(0, Section("Texts", (Prose(_ABOUT_TEXTS), _texts(comparison))))
    return Page(
        title=f"Comparison of tokenizers: {', '.join(comparison.names)}",
        verdict=_verdict(comparison),
        sections=tuple(sections),
        kicker="bytemill tokenizer compare",
        provenance=provenance,
    )


def comparison_markdown(comparison: TokenizerComparison) -> str:
    """Return the comparison's tables as Markdown."""
    return "\n\n".join(map(markdown_table, _tables(comparison))) + "\n"


def comparison_text(comparison: TokenizerComparison) -> str:
    """Return the comparison's tables as plain text."""
    return "\n\n".join(map(plain_table, _tables(comparison))) + "\n"


_ABOUT_TEXTS = """Fewer tokens for the same text mean less computation, and more text in a model's context. Bytes per
token can be compared between texts of different length; a Chinese character has three bytes."""


def _verdict(comparison: TokenizerComparison) -> str:
    if not comparison.texts:
        return "The same words, tokenized by each tokenizer."
    first, *others = (tokenizers_verdict(text.name, text.n_tokens) for text in comparison.texts)
    return " ".join([first, *others[:1]])


def _tables(comparison: TokenizerComparison) -> list[Table]:
    tables = [_texts(comparison)] if comparison.texts else []
    tables += [_words(comparison)] if comparison.words else []
    return [*tables, _sizes(comparison), _ends(comparison)]


def _texts(comparison: TokenizerComparison) -> Table:
    header = ["text", "characters", "bytes"]
    for name in comparison.names:
        header += [f"{name}: tokens", "bytes per token"]
    rows, best = [], []
    for number, text in enumerate(comparison.texts):
        row = [text.name, count(text.n_characters), count(text.n_bytes)]
        for name in comparison.names:
            row += [count(text.n_tokens[name]), decimal(text.bytes_per_token(name))]
        rows.append(tuple(row))
        fewest = min(text.n_tokens.values())
        fewer = [i for i, name in enumerate(comparison.names) if text.n_tokens[name] == fewest]
        best += [(number, 3 + 2 * i) for i in fewer if len(fewer) < len(comparison.names)]
    numeric = tuple(range(1, len(header)))
    return Table("Tokens of the same texts", tuple(header), tuple(rows), numeric=numeric, best=tuple(best))


def _words(comparison: TokenizerComparison) -> Table:
    rows = [
        (
            word.word,
            name,
            count(len(found)),
            "|".join(spelled(p.token) for p in found),
            " ".join(str(p.id) for p in found),
        )
        for word in comparison.words
        for name, found in word.pieces.items()
    ]
    header = ("word", "tokenizer", "tokens", "pieces", "ids")
    return Table("Pieces of the same words", header, tuple(rows), numeric=(2,), code=(3, 4))


def _strips(comparison: TokenizerComparison) -> Iterable[Block]:
    for word in comparison.words:
        yield TokenStrips(word.word, tuple(token_strip(name, found) for name, found in word.pieces.items()))
    yield Details("The same as a table", (_words(comparison),))


def _sizes(comparison: TokenizerComparison) -> Table:
    rows = tuple((name, count(ends.n_vocab), count(ends.n_merges)) for name, ends in comparison.vocabularies.items())
    return Table("Sizes of the vocabularies", ("tokenizer", "ids", "merges"), rows, numeric=(1, 2))


def _ends(comparison: TokenizerComparison) -> Table:
    """Return a table of the first and last entries of each vocabulary."""
    columns = [[*_spelled(ends.first), *_spelled(ends.last)] for ends in comparison.vocabularies.values()]
    n_rows = max(map(len, columns), default=0)
    places = [f"first {i + 1}" for i in range(n_rows // 2)] + [f"last {n_rows - i}" for i in range(n_rows // 2, n_rows)]
    filled = [column + [""] * (n_rows - len(column)) for column in columns]
    rows = tuple(zip(places, *filled, strict=True))
    code = tuple(range(1, len(columns) + 1))
    return Table("First and last entries, with their ids", ("entry", *comparison.names), rows, code=code)


def _spelled(entries: Iterable[Piece]) -> list[str]:
    return [f"{entry.id} {spelled(entry.token).replace(' ', '␣')}" for entry in entries]
