"""Check output paths: `-` means stdout if a result can go there, and is refused otherwise."""

import functools
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, BinaryIO, get_type_hints

import typer

from bytemill.errors import ArgumentError
from bytemill.files import refuse_input_as_output, refuse_output_in_checkpoint

__all__ = ["STDOUT", "Private", "RunFolder", "guard_inputs", "on_disk", "stdout_for_numbers"]

STDOUT = Path("-")
_OUTPUTS = ("output", "out")
_CORPORA = ("files", "sources")
_NO_PATHS = ("name", "text", "prompt", "word", "pattern", "special_token", "separator", "encoding", "search", "regex")


def on_disk(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Check a path that must be on disk; the callback of options for folders and additional files.

    Raises:
        ArgumentError: The path is `-`, or it is empty.
    """
    name = parameter.opts[0] if parameter.param_type_name == "option" else parameter.name
    if path == Path() and _is_given_empty(parameter):
        raise ArgumentError(f"{name} is empty; give a path, such as . for this folder")
    if path == STDOUT:
        raise ArgumentError(f"{name} is -, which means stdout, but this output must be on disk; give a path")
    return path


def _is_given_empty(parameter: typer.CallbackParam) -> bool:
    """Return whether the command line has an empty text for a path; as a path it equals `.`."""
    arguments = sys.argv[1:]
    if parameter.param_type_name != "option":
        return "" in arguments
    given = (value for option, value in itertools.pairwise(arguments) if option in parameter.opts)
    return "" in given or any(f"{option}=" in arguments for option in parameter.opts)


Private = Annotated[
    bool, typer.Option("--private", help="Do not show the machine, its software and the command line on the page.")
]
RunFolder = Annotated[Path, typer.Option("--output", "-o", help="Folder of the run.", callback=on_disk)]


def stdout_for_numbers() -> BinaryIO:
    """Return stdout for bytes.

    Raises:
        ArgumentError: Stdout is a terminal, which cannot show raw numbers.
    """
    if sys.stdout.isatty():
        raise ArgumentError(
            "stdout is a terminal: pipe the raw ids, give --out a file, or omit --out to print them as text"
        )
    return sys.stdout.buffer


def guard_inputs(group: typer.Typer) -> None:
    """Make each command of a group refuse an output that is one of its inputs, before it starts."""
    for command in group.registered_commands:
        if command.callback is not None:
            command.callback = _guarded(command.callback)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            guard_inputs(inner.typer_instance)


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(command)
    def guarded(**given: Any) -> Any:
        outputs = [name for name in given if name in _OUTPUTS or _is_on_disk(command, name)]
        inputs = {name: value for name, value in given.items() if name not in (*outputs, *_NO_PATHS)}
        for output in outputs:
            refuse_output_in_checkpoint(given[output])
            if not given.get("resume"):
                for name, value in inputs.items():
                    refuse_input_as_output(given[output], _paths(value), walk=name in _CORPORA)
        return command(**given)

    return guarded


def _is_on_disk(command: Callable[..., Any], name: str) -> bool:
    """Return whether a parameter is an output, by its callback."""
    hint = get_type_hints(command, include_extras=True).get(name)
    return any(getattr(one, "callback", None) is on_disk for one in getattr(hint, "__metadata__", ()))


def _paths(value: Any) -> Iterator[str]:
    """Return the paths that an option may name: PLACE, NAME=PLACE, or several of them."""
    for one in value if isinstance(value, list | tuple) else [value]:
        if isinstance(one, str | Path) and str(one) not in ("", "-"):
            yield str(one)
            yield from [str(one).partition("=")[2]] if "=" in str(one) and not str(one).endswith("=") else []
