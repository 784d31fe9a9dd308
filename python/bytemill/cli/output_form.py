"""The output format and destination of several `bytemill tokenizer` commands."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from bytemill.cli.output_paths import STDOUT
from bytemill.errors import ArgumentError
from bytemill.files import write_text

__all__ = ["Form", "FormOption", "Output", "deliver", "form_of"]

Form = Literal["text", "markdown", "json", "html"]

FormOption = Annotated[
    Form | None,
    typer.Option("--format", help="Format of the output. Default: as the ending of --output says, else text."),
]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="File to write; - is stdout, the default.")]

_BY_ENDING: dict[str, Form] = {".md": "markdown", ".json": "json", ".html": "html", ".txt": "text"}


def form_of(given: Form | None, output: Path | None) -> Form:
    """Return the requested format, or the format of the file's ending; text by default.

    >>> form_of(None, Path("page.html")), form_of("json", Path("page.html")), form_of(None, None)
    ('html', 'json', 'text')
    """
    if given is not None:
        return given
    if output in (None, STDOUT):
        return "text"
    if output.suffix not in _BY_ENDING:
        raise ArgumentError(f"{output}: unknown file ending; expected {', '.join(_BY_ENDING)}, or --format")
    return _BY_ENDING[output.suffix]


def deliver(content: str, output: Path | None) -> None:
    """Write to the file atomically and print its name, or write to stdout."""
    if output in (None, STDOUT):
        sys.stdout.write(content)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, content)
    print(output)
