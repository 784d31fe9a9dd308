"""What the tokenizer commands share: names of patterns, and writing a vocabulary to a file or to stdout."""

import errno
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bytemill.cli.written import STDOUT
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from bytemill import Tokenizer

__all__ = ["Format", "make_room", "pattern_named", "special_tokens_given", "write_vocabulary"]

Format = Literal["huggingface", "tiktoken", "readable", "gpt2"]


def pattern_named(given: str) -> str | None:
    """The pattern that an option names; none stands for no pattern."""
    return None if given == "none" else given


def special_tokens_given(options: list[str] | None) -> dict[str, int] | list[str] | None:
    """Special tokens as options name them: each as TEXT, or each as TEXT=ID.

    >>> special_tokens_given(["<|end|>=50256"]), special_tokens_given(["<a=b>"])
    ({'<|end|>': 50256}, ['<a=b>'])
    """
    if not options:
        return None
    split = [option.rpartition("=") for option in options]
    with_id = [bool(text) and number.isascii() and number.isdigit() for text, _, number in split]
    if all(with_id):
        return {text: int(number) for text, _, number in split}
    if any(with_id):
        raise ArgumentError(
            f"--special-token has ids for only some tokens, expected for all or none: {', '.join(options)}"
        )
    return options


def make_room(output: Path) -> None:
    """Make sure that `output` can be written, before long work begins."""
    if output == STDOUT:
        return
    if output.is_dir():
        raise ArgumentError(f"{output} is a folder; name the file to write")
    if output.exists() and not output.is_file():
        return  # such as /dev/null, which is written to as it is
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder cannot be written to", str(output.parent))


def write_vocabulary(tokenizer: "Tokenizer", output: Path, form: Format) -> None:
    """Save a vocabulary and print where, or for `-` print the vocabulary itself."""
    if output != STDOUT:
        output.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(output, format=form)
        print(output)
        return
    if form == "gpt2":
        raise ArgumentError("the gpt2 format is two files; give a folder instead of -")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "vocabulary", format=form)
        sys.stdout.write((Path(folder) / "vocabulary").read_text(encoding="utf-8"))
