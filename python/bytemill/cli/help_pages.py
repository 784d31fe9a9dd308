"""Help pages that read well at any width: paragraphs are joined to one line each, for the terminal to wrap."""

import inspect

import typer

__all__ = ["join_paragraphs"]


def join_paragraphs(group: typer.Typer) -> None:
    """Set the help of each command of a group to its docstring, with one line per paragraph.

    Typer keeps the line breaks of all paragraphs except the first, and takes text in brackets for markup.
    """
    for command in group.registered_commands:
        if command.callback is not None:
            command.help = one_line_each(inspect.getdoc(command.callback) or "")
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            join_paragraphs(inner.typer_instance)


def one_line_each(docstring: str) -> str:
    r"""Return the paragraphs of a docstring, each on one line, with brackets that rich does not take for markup.

    >>> one_line_each("Run it\n(needs bytemill[eval]).\n\nExample:\nbytemill x")
    'Run it (needs bytemill\\[eval]).\n\nExample: bytemill x'
    """
    paragraphs = (" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))
    return "\n\n".join(paragraphs).replace("[", "\\[")
