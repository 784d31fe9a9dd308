"""`bytemill tokenizer check`: check that encoding and decoding returns the same text."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import read_text, say
from bytemill.cli.tokenizer.options import TokenizerSource
from bytemill.errors import DataError

if TYPE_CHECKING:
    from bytemill.tokenizer.round_trip import Difference

__all__ = ["check"]

MOST_SHOWN = 20


def check(
    tokenizer: TokenizerSource,
    files: Annotated[list[Path] | None, typer.Argument(help="Text files to check; - or no file reads stdin.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per file.")] = False,
) -> None:
    """Encode texts, decode them again, and compare; the exit code is 1 if a character changed.

    Each difference is shown with its line and column, the original text and the decoded text. Differences that the
    tokenizer's own normalization (NFC) makes are shown too, but the exit code is then 0.

    Example: bytemill tokenizer check -t tokenizer.json book.txt
    """
    from bytemill.tokenizer.round_trip import check_round_trip
    from bytemill.tokenizer.source import open_tokenizer

    opened = open_tokenizer(tokenizer)
    lossy = []
    for path in files or [Path("-")]:
        found = check_round_trip(opened, read_text(path))
        if not found.is_lossless and not found.normalization:
            lossy.append(str(path))
        if as_json:
            print(json.dumps({"file": str(path), **found.as_dict()}, ensure_ascii=False))
            continue
        if found.is_lossless:
            message = f"lossless: {found.n_bytes:,} bytes, {found.n_tokens:,} tokens"
        else:
            n_places = len(found.differences)
            message = "1 place differs" if n_places == 1 else f"{n_places:,} places differ"
        if found.normalization:
            message += f", as the tokenizer normalizes text to {found.normalization}"
        print(f"{path}: {message}")
        for difference in found.differences[:MOST_SHOWN]:
            print(_shown(difference))
        if len(found.differences) > MOST_SHOWN:
            print(f"  … {len(found.differences) - MOST_SHOWN:,} more")
    if lossy:
        say("Bytes that are not UTF-8 are lost when a file is read as text; --json names every place.")
        raise DataError(f"not lossless: {', '.join(lossy)}")


def _shown(difference: "Difference") -> str:
    was, became = (_spelled(text) for text in (difference.was, difference.became))
    return f"  line {difference.line}, column {difference.column}: {was} became {became}"


def _spelled(text: str) -> str:
    r"""Return a text as Python writes it, and a byte that is not UTF-8 as `\xff`."""
    shown = "".join(f"\\x{ord(one) - 0xDC00:02x}" if 0xDC80 <= ord(one) <= 0xDCFF else repr(one)[1:-1] for one in text)
    return f"“{shown}”" if text else "nothing"
