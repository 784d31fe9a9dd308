"""Shared parts of the tokenizer commands: pattern names, and writing a vocabulary to a file or stdout."""

import errno
import os
import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bytemill.cli.console import say
from bytemill.cli.output_paths import STDOUT
from bytemill.errors import ArgumentError, BytemillError
from bytemill.tokenizer.arguments import LARGEST_ID

if TYPE_CHECKING:
    from bytemill import Tokenizer

__all__ = ["Format", "make_room", "pattern_named", "special_tokens_given", "write_vocabulary"]

Format = Literal["huggingface", "tiktoken", "readable", "gpt2"]

_LIKE_A_NUMBER = re.compile(r"[+-]?(0x[\da-f]+|[\d.,_]*\d[\d.,_]*(e[+-]?\d+)?)", re.IGNORECASE)
_MOST_DIGITS = 20


def pattern_named(given: str) -> str | None:
    """Return the pattern that an option names; none means no pattern."""
    return None if given == "none" else given


def special_tokens_given(options: list[str] | None) -> dict[str, int] | list[str] | None:
    """Return the special tokens of options: all as TEXT, or all as TEXT=ID.

    >>> special_tokens_given(["<|end|>=50256"]), special_tokens_given(["<a=b>"])
    ({'<|end|>': 50256}, ['<a=b>'])
    """
    if not options:
        return None
    ids = {option: _id_of(option) for option in options}
    if None not in ids.values():
        if len({option.rpartition("=")[0] for option in options}) < len(options):
            raise ArgumentError(f"--special-token has the same text twice: {', '.join(options)}")
        return {option.rpartition("=")[0]: one for option, one in ids.items() if one is not None}
    if any(one is not None for one in ids.values()):
        raise ArgumentError(
            f"--special-token has ids for only some tokens, expected for all or none: {', '.join(options)}"
        )
    return options


def make_room(output: Path) -> None:
    """Check that `output` can be written, before long work begins."""
    if output == STDOUT:
        return
    if output.is_dir():
        raise ArgumentError(f"{output} is a folder; name the file to write")
    if output.exists() and not output.is_file():
        return  # such as /dev/null, which is written to directly
    output.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(output.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder cannot be written to", str(output.parent))


def write_vocabulary(tokenizer: "Tokenizer", output: Path, form: Format) -> None:
    """Save a vocabulary and print its path; for `-` print the vocabulary itself."""
    if output != STDOUT:
        output.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(output, format=form)
        print(output)
        _say_what_is_lost(tokenizer, output, output, form)
        return
    if form == "gpt2":
        raise ArgumentError("the gpt2 format is two files; give a folder instead of -")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "vocabulary", format=form)
        sys.stdout.write((Path(folder) / "vocabulary").read_text(encoding="utf-8"))
        _say_what_is_lost(tokenizer, Path(folder) / "vocabulary", Path("FILE"), form)


def _say_what_is_lost(tokenizer: "Tokenizer", written: Path, shown: Path, form: Format) -> None:
    """Print what a .tiktoken file does not store and how to give it again; nothing for a file known by its hash."""
    from bytemill import Tokenizer

    if form != "tiktoken":
        return
    try:
        if Tokenizer.load(written).fingerprint == tokenizer.fingerprint:
            return
    except BytemillError:
        pass
    special = [f"{text}={one}" for text, one in tokenizer.special_tokens.items()]
    options = ["--pattern", _pattern_name(tokenizer.pattern)]
    options += [word for one in special for word in ("--special-token", one)]
    lost = f"the pattern and the special tokens {', '.join(special)}" if special else "the pattern"
    say(
        f"The form tiktoken does not hold {lost}; to read the file later, write one that does: "
        f"bytemill tokenizer convert {shlex.join([str(shown), 'tokenizer.json', *options])}"
    )


def _id_of(option: str) -> int | None:
    """Return the id of TEXT=ID; None for TEXT, which has no number after its last =."""
    text, equals, number = option.rpartition("=")
    if not equals or (number and not _LIKE_A_NUMBER.fullmatch(number)):
        return None
    is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    if not text or not is_number or int(number) > LARGEST_ID:
        raise ArgumentError(
            f"--special-token is {option!r}, expected TEXT or TEXT=ID with an id from 0 to {LARGEST_ID:,}"
        )
    return int(number)


def _pattern_name(pattern: str | None) -> str:
    """Return the shortest spelling of a pattern that an option accepts."""
    from bytemill.tokenizer.tokenizer import is_same_pattern

    if pattern is None:
        return "none"
    return next((name for name in ("gpt2", "cl100k", "o200k") if is_same_pattern(name, pattern)), pattern)
