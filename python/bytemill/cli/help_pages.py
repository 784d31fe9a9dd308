"""Help pages: the commands by stage, narrow columns, and paragraphs that the terminal wraps at its own width."""

import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["HelpPage", "Stages", "prepare_help"]

_STAGES = {
    "Start": ("demo", "doctor"),
    "Data": ("tokenizer", "data"),
    "Train": ("train", "ladder"),
    "Tune": ("finetune", "sweep"),
    "Evaluate": ("eval", "report"),
    "Use": ("generate", "chat", "serve", "classify", "model"),
}
_WIDEST_TYPE = 12


class Stages(TyperGroup):
    """The group of all commands; its help lists them by stage, in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, stage by stage."""
        return [name for names in _STAGES.values() for name in names]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, marked with its stage; None if there is no such command."""
        command: Any = super().get_command(ctx, cmd_name)
        for stage, names in _STAGES.items():
            if cmd_name in names:
                command.rich_help_panel = stage
        return command


class HelpPage(TyperCommand):
    """A command whose help leaves most of the line to the texts: the column of types is narrow."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help."""
        for parameter in self.params:
            _make_narrow(parameter, ctx)
        super().format_help(ctx, formatter)


def prepare_help(group: typer.Typer) -> None:
    """Set the help of each command of a group to its docstring, with one line per paragraph.

    Typer keeps the line breaks of all paragraphs except the first, and takes text in brackets for markup.
    """
    for command in group.registered_commands:
        if command.cls is TyperCommand:
            command.cls = HelpPage
        if command.callback is not None:
            command.help = one_line_each(inspect.getdoc(command.callback) or "")
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            prepare_help(inner.typer_instance)


def one_line_each(docstring: str) -> str:
    r"""Return the paragraphs of a docstring, each on one line, with brackets that rich does not take for markup.

    >>> one_line_each("Run it\n(needs bytemill[eval]).\n\nExample:\nbytemill x")
    'Run it (needs bytemill\\[eval]).\n\nExample: bytemill x'
    """
    paragraphs = (" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))
    return "\n\n".join(paragraphs).replace("[", "\\[")


def _make_narrow(parameter: Any, ctx: Any) -> None:
    """Move long choices from the column of types to the text, and leave out limits and the type of flags.

    The parameter is changed; after a help, the program ends. A version of typer that shows types in another way keeps
    its own columns.
    """
    shown_type = getattr(parameter, "display_type_rich", None)
    if shown_type is None:
        return
    shown = shown_type(ctx) or ""
    if getattr(parameter, "is_flag", False):
        parameter.metavar = ""
    elif " range" in shown:
        parameter.metavar = shown.replace(" range", "")
        parameter.min = parameter.max = None
    elif len(shown) > _WIDEST_TYPE and "|" in shown:
        choices = shown.strip("<>").split("|")
        parameter.metavar = "<name>"
        parameter.help = f"{parameter.help} One of {', '.join(choices)}."
