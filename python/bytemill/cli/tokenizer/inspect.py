"""`bytemill tokenizer inspect`: show the tokens of a text, and the merges that made them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.output_form import Output, deliver, form_of
from bytemill.cli.tokenizer.ids import documents
from bytemill.cli.tokenizer.options import Special, TokenizerSource
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from bytemill.tokenizer.pieces import Piece
    from bytemill.tokenizer.trace import PretokenTrace

__all__ = ["inspect"]


def inspect(
    tokenizer: TokenizerSource,
    files: Annotated[list[Path] | None, typer.Argument(help="Text files; - or no file reads stdin.")] = None,
    text: Annotated[str | None, typer.Option(help="Use this text instead of files.")] = None,
    special: Special = False,
    trace: Annotated[
        bool, typer.Option("--trace", help="Also show, step by step, the merges that made the tokens.")
    ] = False,
    form: Annotated[
        Literal["text", "json", "html"] | None,
        typer.Option("--format", help="Format of the output. Default: as the ending of --output says, else text."),
    ] = None,
    output: Output = None,
) -> None:
    """Show the tokens of a text with their ids: coloured on a terminal, one per line in a pipe.

    Example: bytemill tokenizer inspect -t tokenizer.json --text "The lowest" --trace
    """
    from bytemill.tokenizer.pieces import pieces
    from bytemill.tokenizer.source import open_tokenizer
    from bytemill.tokenizer.trace import trace as traced

    wanted = form_of(form, output)
    if wanted == "markdown":
        raise ArgumentError("inspect writes text, json or html, not markdown")
    opened = open_tokenizer(tokenizer)
    given = list(documents(text, files))
    found = [pieces(opened, one, special=special) for one in given]
    traces = [one for each in given for one in traced(opened, each, special=special)] if trace else []
    if wanted == "html":
        from bytemill.report.inspection import inspection_page
        from bytemill.report.provenance import provenance_here

        deliver(inspection_page(found, traces, provenance=provenance_here()).html(), output)
    elif wanted == "json":
        facts: dict[str, list[Any]] = {"texts": [[piece.as_dict() for piece in each] for each in found]}
        if trace:
            facts["trace"] = [one.as_dict() for one in traces]
        deliver(json.dumps(facts, ensure_ascii=False) + "\n", output)
    elif output is not None:
        deliver(_lines(found, traces), output)
    else:
        _show(found, traces)


def _show(found: "list[tuple[Piece, ...]]", traces: "list[PretokenTrace]") -> None:
    from bytemill.cli.tokenizer.colours import coloured, console

    shown = console()
    if not shown.is_terminal:
        print(_lines(found, traces), end="")
        return
    for each in found:
        shown.print(coloured(each, shown))
    if traces:
        print(_lines([], traces), end="")


def _lines(found: "list[tuple[Piece, ...]]", traces: "list[PretokenTrace]") -> str:
    """Return one line per token with its id, then the merges of each pretoken."""
    from bytemill.report.inspection import trace_table
    from bytemill.report.text_tables import plain_table
    from bytemill.tokenizer.pieces import spelled

    tokens = "".join(f"{piece.id}\t{spelled(piece.token)}\n" for each in found for piece in each)
    return tokens + "".join(f"\n{plain_table(trace_table(one))}\n" for one in traces if one.steps)
