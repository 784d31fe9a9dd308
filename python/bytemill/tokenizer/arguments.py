"""Check the arguments of `Tokenizer`: an error is one sentence that names the argument."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sized
from os import PathLike, fsencode, fspath
from typing import Any

from bytemill.errors import ArgumentError

__all__ = [
    "LARGEST_ID",
    "a_count",
    "a_flag",
    "a_path",
    "a_pattern",
    "a_text",
    "paths",
    "special_tokens",
    "special_tokens_by_id",
    "texts",
    "words",
]

LARGEST_ID = (1 << 32) - 1
_LARGEST_COUNT = (1 << 63) - 1


def a_path(name: str, given: object) -> str:
    """Return a path as str.

    >>> from pathlib import Path
    >>> a_path("path", Path("a") / "b"), a_path("path", "c")
    ('a/b', 'c')
    """
    path = fspath(given) if isinstance(given, PathLike) else given
    if not isinstance(path, str) or not path:
        raise _wrong(name, given, "a path, as str or Path")
    try:
        fsencode(path)
    except UnicodeEncodeError:
        raise _wrong(name, given, "a path without lone surrogates, which cannot be encoded") from None
    return path


def paths(name: str, given: object) -> list[str]:
    """Return one path or several as a list of str.

    >>> from pathlib import Path
    >>> paths("files", "a.txt"), paths("files", (Path("a"), "b"))
    (['a.txt'], ['a', 'b'])
    """
    if isinstance(given, str | PathLike):
        return [a_path(name, given)]
    found = [a_path(name, one) for one in _several(name, given, "a path or several paths")]
    if not found:
        raise ArgumentError(f"{name} is empty, expected at least one path")
    return found


def a_count(name: str, given: object, *, least: int = 0) -> int:
    """Return an integer of at least `least`.

    >>> a_count("vocab_size", 300)
    300
    """
    expected = f"a whole number of at least {least}"
    try:
        number = operator.index(given)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong(name, given, expected) from None
    if number < least:
        raise _wrong(name, number, expected)
    if number > _LARGEST_COUNT:
        raise _wrong(name, number, f"a whole number of at most {_LARGEST_COUNT}")
    return number


def a_text(name: str, given: object) -> str:
    """Return a str that UTF-8 can encode; refuse anything else."""
    if not isinstance(given, str):
        raise _wrong(name, given, "a str")
    if any("\ud800" <= character <= "\udfff" for character in given):
        raise _wrong(name, given, "text without lone surrogates, which UTF-8 cannot encode")
    return given


def a_pattern(name: str, given: object) -> str:
    """Return a pattern that is not empty."""
    pattern = a_text(name, given)
    if not pattern:
        raise ArgumentError(f"{name} is empty, expected a name such as gpt2, a regex, or none for no splitting")
    return pattern


def a_flag(name: str, given: object) -> bool:
    """Return True or False; refuse anything else."""
    if not isinstance(given, bool):
        raise _wrong(name, given, "True or False")
    return given


def texts(name: str, given: object) -> Iterable[Any]:
    """Return an iterable of texts; each text is checked when it is read. A single text is refused.

    An empty iterable raises an error after it was read.
    """
    if isinstance(given, str | bytes):
        raise ArgumentError(f"{name} is a single {type(given).__name__}, expected several; for one text give [text]")
    if not isinstance(given, Iterable):
        raise _wrong(name, given, "an iterable of str or bytes")
    if not isinstance(given, Sized):
        return _counted(name, given)
    if not len(given):
        raise _no_text(name)
    return given


def words(name: str, given: object) -> list[tuple[Any, int]]:
    """Return pretokens and how often each occurs."""
    if not isinstance(given, Mapping):
        raise _wrong(name, given, "a mapping of str or bytes to counts")
    if not given:
        raise ArgumentError(f"{name} is empty, expected at least one word")
    for word, count in given.items():
        if not isinstance(word, str | bytes):
            raise _wrong(f"a word of {name}", word, "str or bytes")
        if not isinstance(count, int):
            raise _wrong(f"the count of {word!r} in {name}", count, "a whole number of at least 0")
        a_count(f"the count of {word!r} in {name}", count)
    return list(given.items())


def special_tokens(name: str, given: object) -> list[str]:
    """Return the texts of special tokens; they must be different and not empty.

    >>> special_tokens("special_tokens", (text for text in ("<a>", "<b>")))
    ['<a>', '<b>']
    """
    if isinstance(given, str):
        raise ArgumentError(f"{name} is a single str, {given!r}; give [{given!r}]")
    found = [a_text(f"one of {name}", text) for text in _several(name, given, "several str, or () for none")]
    if "" in found or len(set(found)) < len(found):
        raise ArgumentError(f"{name} is {found}, expected different texts that are not empty")
    return found


def special_tokens_by_id(name: str, given: object) -> list[tuple[str, int | None]] | None:
    """Return special tokens with their ids; the id None means the next free id.

    >>> special_tokens_by_id("special_tokens", {"<a>": 7}), special_tokens_by_id("special_tokens", ["<a>"])
    ([('<a>', 7)], [('<a>', None)])
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        return [(text, None) for text in special_tokens(name, given)]
    ids: list[tuple[str, int | None]] = []
    for text, given_id in zip(special_tokens(name, given.keys()), given.values(), strict=True):
        one = a_count(f"the id of {text!r} in {name}", given_id)
        if one > LARGEST_ID:
            raise ArgumentError(f"the id of {text!r} in {name} is {one}, expected at most {LARGEST_ID}")
        ids.append((text, one))
    return ids


def _counted(name: str, given: Iterable[Any]) -> Iterator[Any]:
    is_empty = True
    for text in given:
        is_empty = False
        yield text
    if is_empty:
        raise _no_text(name)


def _no_text(name: str) -> ArgumentError:
    return ArgumentError(f"{name} is empty, expected at least one text")


def _several(name: str, given: object, expected: str) -> Iterable[object]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _wrong(name, given, expected)
    return given


def _wrong(name: str, given: object, expected: str) -> ArgumentError:
    try:
        shown = repr(given)
    except ValueError:  # an integer with too many digits to print
        shown = "a number of thousands of digits"
    return ArgumentError(f"{name} is {shown if len(shown) <= 60 else type(given).__name__}, expected {expected}")
