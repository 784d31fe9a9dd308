"""Tokenizers named in one string, as they stand on a command line: a file, a folder, a known name, the hub."""

from __future__ import annotations

from pathlib import Path

from bytemill.errors import ArgumentError, DataError
from bytemill.tokenizer.hub import fetch_tokenizer_file
from bytemill.tokenizer.tokenizer import Tokenizer

__all__ = ["open_tokenizer", "open_tokenizers"]

HUB = "hf:"


def open_tokenizers(sources: list[str]) -> dict[str, Tokenizer]:
    """Open several, each under a name: `NAME=SOURCE`, or the source's own.

    Raises:
        ArgumentError: Two have the same name, or a source is nothing that can be opened.
    """
    opened: dict[str, Tokenizer] = {}
    for given in sources:
        name, equals, source = given.partition("=")
        if not equals or Path(given).exists():
            name, source = _own_name(given), given
        if name in opened:
            raise ArgumentError(f"two tokenizers are named {name!r}; give them different names, such as ours={source}")
        opened[name] = open_tokenizer(source)
    return opened


def open_tokenizer(
    source: str | Path, *, pattern: str | None = "auto", special_tokens: dict[str, int] | list[str] | None = None
) -> Tokenizer:
    """Open a file or folder, `hf:REPOSITORY` of Hugging Face's hub, or a name that tiktoken knows.

    Args:
        source: Which one; `hf:` and tiktoken's names are tried only where no such file or folder is.
        pattern: As in `Tokenizer.load`; "auto" for all but files and folders.
        special_tokens: As in `Tokenizer.load`; None for all but files and folders.

    Raises:
        ArgumentError: It is none of these, or holds its own pattern and another is given.
        DataError: The hub gives no such tokenizer, or tiktoken knows the name, but cannot fetch the vocabulary.
        FormatError: It holds no vocabulary that can be reproduced exactly.
    """
    source, path = str(source), Path(source)
    if path.exists():
        return Tokenizer.load(path, pattern=pattern, special_tokens=special_tokens)
    if pattern != "auto" or special_tokens is not None:
        raise ArgumentError(
            f"no file or folder {source!r}; a pattern and special tokens can be given only for a file or folder"
        )
    if source.startswith(HUB):
        return Tokenizer.load(fetch_tokenizer_file(source.removeprefix(HUB)))
    names = _tiktoken_names()
    if source in names:
        try:
            return Tokenizer.from_tiktoken(source)
        except OSError as error:
            raise DataError(
                f"tiktoken has no copy of {source!r} and could not download it; give a vocabulary file instead"
            ) from error
    known = f"one of tiktoken's names ({', '.join(names)})" if names else "a name of tiktoken, which is not installed"
    raise ArgumentError(f"no tokenizer {source!r}; expected a file, a folder, {HUB}REPOSITORY or {known}")


def _own_name(source: str) -> str:
    """The folder's name for what every folder calls alike.

    >>> _own_name("runs/mine/tokenizer.json"), _own_name("gpt2.tiktoken"), _own_name("hf:openai-community/gpt2")
    ('mine', 'gpt2', 'gpt2')
    """
    path = Path(source.removeprefix(HUB))
    parent = path.parent.resolve().name
    return parent if path.name == "tokenizer.json" and parent else path.stem


def _tiktoken_names() -> list[str]:
    try:
        import tiktoken
    except ImportError:
        return []
    return list(tiktoken.list_encoding_names())
