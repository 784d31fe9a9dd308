"""`bytemill tokenizer vocab`: list, search and export the entries of a vocabulary."""

import csv
import io
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bytemill.cli.console import json_text, say
from bytemill.cli.output_form import Output, deliver
from bytemill.cli.output_paths import STDOUT
from bytemill.cli.tables import put_tables
from bytemill.cli.tokenizer.options import SOURCE_HELP
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytemill.tokenizer.entries import Entry

__all__ = ["vocab"]

_RANGE = re.compile(r"(\d{1,9})?(:)?(\d{1,9})?")
_COLUMNS = ("id", "bytes", "text", "length", "special", "left", "right")
Form = Literal["text", "csv", "json"]


def vocab(
    tokenizer: Annotated[str, typer.Argument(help=SOURCE_HELP)],
    search: Annotated[
        str | None, typer.Option("--search", "-s", help="Show only tokens that contain this text.")
    ] = None,
    regex: Annotated[
        str | None, typer.Option(help="Show only tokens whose text matches this regular expression of Python.")
    ] = None,
    with_bytes: Annotated[
        str | None,
        typer.Option("--bytes", metavar="HEX", help="Show only tokens that contain these bytes, such as e58c97."),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            metavar="FIRST:LAST", help="Show only these ids, both ends included: 256:300, 256: or 300. Default: all."
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", min=0, help="Maximum number of rows in a table; 0 shows all.")
    ] = 100,
    form: Annotated[
        Form | None,
        typer.Option("--format", help="Format of the output. Default: as the ending of --output says, else text."),
    ] = None,
    output: Output = None,
) -> None:
    """List the tokens of a vocabulary, search them, or write them to a CSV or JSON file.

    Each row has the id, the bytes in hex, the text, the length in bytes, whether the token is special, and the two ids
    (left and right) that were merged to this token. The text is empty if the bytes are not whole characters. --number
    limits only the table; a CSV or JSON file has all rows.

    Example: bytemill tokenizer vocab gpt2 --search China

    Example: bytemill tokenizer vocab tokenizer.json -o vocabulary.csv
    """
    from bytemill.tokenizer.entries import containing, entries
    from bytemill.tokenizer.source import open_tokenizer

    wanted = _form_of(form, output)
    first, last = _range(ids)
    fits = containing(text=search, regex=regex, data=None if with_bytes is None else _bytes(with_bytes))
    found = filter(fits, entries(open_tokenizer(tokenizer), first, last))
    if wanted == "csv":
        deliver(_csv(found), output)
    elif wanted == "json":
        deliver("[\n" + ",\n".join(json_text(one.as_dict()) for one in found) + "\n]\n", output)
    else:
        _show(list(found), number or None, output)


def _show(found: "list[Entry]", most: int | None, output: Path | None) -> None:
    """Print a table of at most `most` rows, and to stderr how many tokens there are."""
    table = _markdown(itertools.islice(found, most))
    if output in (None, STDOUT):
        put_tables(table)
    else:
        deliver(table, output)
    shown = len(found) if most is None else min(most, len(found))
    more = f", of which {shown:,} are shown; --number 0 shows all" if shown < len(found) else ""
    say(f"{len(found):,} token{'' if len(found) == 1 else 's'}{more}")


def _markdown(found: "Iterable[Entry]") -> str:
    lines: list[tuple[str, ...]] = [_COLUMNS, ("---:", "---", "---", "---:", "---", "---:", "---:")]
    lines += [tuple(_cell(name, value) for name, value in one.as_dict().items()) for one in found]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _cell(name: str, value: object) -> str:
    """Return a value for a table; a text in quotation marks, because its spaces count."""
    if name == "text" and value is not None:
        return repr(value).replace("|", r"\|")
    if name == "special":
        return "yes" if value else ""
    return "" if value is None else str(value)


def _csv(found: "Iterable[Entry]") -> str:
    written = io.StringIO()
    # Text in quotes: before Python 3.13, a carriage return alone would otherwise not be quoted.
    table = csv.DictWriter(written, _COLUMNS, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    table.writeheader()
    for one in found:
        table.writerow(one.as_dict() | {"special": int(one.is_special)})
    return written.getvalue()


def _form_of(form: Form | None, output: Path | None) -> Form:
    if form is not None:
        return form
    if output in (None, STDOUT):
        return "text"
    endings: dict[str, Form] = {".csv": "csv", ".json": "json", ".md": "text", ".txt": "text"}
    if output.suffix not in endings:
        raise ArgumentError(f"{output}: unknown file ending; expected {', '.join(endings)}, or --format")
    return endings[output.suffix]


def _range(ids: str | None) -> tuple[int, int | None]:
    """Return the first and last id of a range; None as last for no end.

    >>> _range("256:300"), _range("256:"), _range(":9"), _range("7"), _range(None)
    ((256, 300), (256, None), (0, 9), (7, 7), (0, None))
    """
    match = _RANGE.fullmatch(ids or ":")
    if match is None or not (match[1] or match[2]):
        raise ArgumentError(f"--ids is {ids!r}, expected an id or FIRST:LAST, such as 256:300")
    first = int(match[1] or 0)
    last = int(match[3]) if match[3] else None if match[2] else first
    if last is not None and last < first:
        raise ArgumentError(f"--ids is {ids!r}, expected a first id that is not above the last")
    return first, last


def _bytes(given: str) -> bytes:
    try:
        found = bytes.fromhex(given.removeprefix("0x"))
    except ValueError:
        found = b""
    if not found:
        raise ArgumentError(f"--bytes is {given!r}, expected bytes in hex, such as e58c97")
    return found
