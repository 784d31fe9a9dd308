"""`bytemill tokenizer compare`: compare several tokenizers on the same texts and words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text
from bytemill.cli.output_form import FormOption, Output, deliver, form_of
from bytemill.cli.tokenizer.ids import documents
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from bytemill.tokenizer.compare import TokenizerComparison

__all__ = ["compare"]


def compare(
    tokenizers: Annotated[
        list[str],
        typer.Argument(
            help="Tokenizers: files, folders, hf:REPOSITORY, or tiktoken names. NAME=SOURCE names a tokenizer."
        ),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Option(
            "--file",
            "-f",
            help="Text file to encode with all tokenizers; - is stdin. Repeat the option for several files.",
        ),
    ] = None,
    text: Annotated[
        list[str] | None, typer.Option(help="Text to encode with all tokenizers. Repeat the option for several texts.")
    ] = None,
    word: Annotated[
        list[str] | None,
        typer.Option("--word", "-w", help="Word whose tokens are shown. Repeat the option for several words."),
    ] = None,
    form: FormOption = None,
    output: Output = None,
) -> None:
    """Compare tokenizers: tokens per text, bytes per token, the pieces of words, first and last vocabulary entries.

    Example: bytemill tokenizer compare gpt2 ours=tokenizer.json -f book.txt -w China -o comparison.html
    """
    from bytemill.tokenizer.compare import compare
    from bytemill.tokenizer.source import open_tokenizers

    wanted = form_of(form, output)
    texts = {_name(path, files or []): "".join(documents(None, [path])) for path in files or []}
    texts |= {f"“{_short(one)}”": one for one in text or []}
    if not texts and not word:
        raise ArgumentError("nothing to compare on: give --file, --text or --word")
    found = compare(open_tokenizers(tokenizers), texts, word or [])
    if wanted == "text" and output is None:
        _show(found)
    else:
        deliver(_written(found, wanted), output)


def _written(found: "TokenizerComparison", form: str) -> str:
    from bytemill.report.comparison import comparison_markdown, comparison_page, comparison_text

    if form == "json":
        return json_text(found.as_dict(), indent=2) + "\n"
    if form == "markdown":
        return comparison_markdown(found)
    if form == "text":
        return comparison_text(found)
    from bytemill.report.provenance import provenance_here

    return comparison_page(found, provenance=provenance_here()).html()


def _show(found: "TokenizerComparison") -> None:
    """Print tables to stdout; on a terminal, words are coloured instead of in a table."""
    from dataclasses import replace

    from bytemill.cli.tokenizer.colours import coloured, console
    from bytemill.report.comparison import comparison_text

    shown = console()
    if not shown.is_terminal:
        print(comparison_text(found), end="")
        return
    width = max(map(len, found.names))
    for one in found.words:
        shown.print(one.word, style="bold")
        for name, pieces in one.pieces.items():
            shown.print(f"  {name:<{width}} {len(pieces):>4}  ", coloured(pieces, shown), sep="")
        shown.print()
    print(comparison_text(replace(found, words=())), end="")


def _name(path: Path, files: list[Path]) -> str:
    """Return the file's name, or its path if another file has the same name."""
    return path.name if [other.name for other in files].count(path.name) == 1 else str(path)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
