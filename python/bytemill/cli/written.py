"""Where commands write: `-` is stdout for a result that can go there, and is refused for one that cannot."""

import sys
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from bytemill.errors import ArgumentError

__all__ = ["STDOUT", "RunFolder", "on_disk", "stdout_for_numbers"]

STDOUT = Path("-")


def on_disk(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """What asks for a folder, or for a file beside the results on stdout, has this as its callback.

    Raises:
        ArgumentError: The path is `-`, of which nobody wants a file or folder.
    """
    if path == STDOUT:
        name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
        raise ArgumentError(f"{name} is -, which stands for stdout; what goes here has to be on disk: give a path")
    return path


RunFolder = Annotated[Path, typer.Option("--output", "-o", help="The run's folder.", callback=on_disk)]


def stdout_for_numbers() -> BinaryIO:
    """Stdout as bytes.

    Raises:
        ArgumentError: It is a terminal, which raw numbers would put into disorder.
    """
    if sys.stdout.isatty():
        raise ArgumentError(
            "stdout is a terminal: pipe the raw ids on, or give --out a file; without --out they are text"
        )
    return sys.stdout.buffer
