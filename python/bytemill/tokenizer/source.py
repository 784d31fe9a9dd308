"""Open tokenizers given as one string on the command line: a file, a folder, a known name or a hub repository."""

from __future__ import annotations

from pathlib import Path

from bytemill.errors import ArgumentError, DataError, FormatError
from bytemill.tokenizer.convert import TIKTOKEN_MISSING
from bytemill.tokenizer.hub import fetch_tokenizer_file
from bytemill.tokenizer.shipped import SHIPPED
from bytemill.tokenizer.tokenizer import Tokenizer, is_same_pattern

__all__ = ["open_tokenizer", "open_tokenizers", "tokenizer_in"]

HUB = "hf:"
_VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


def tokenizer_in(folder: Path) -> Tokenizer | None:
    """Return the tokenizer whose files are in `folder`; None if there are none.

    Raises:
        FormatError: The tokenizer is damaged, or is not byte-level BPE.
    """
    if any(all((folder / name).is_file() for name in names) for names in _VOCABULARIES):
        return Tokenizer.load(folder)
    return None


def open_tokenizers(sources: list[str]) -> dict[str, Tokenizer]:
    """Open several tokenizers by name: `NAME=SOURCE`, or the source's own name.

    Raises:
        ArgumentError: Two have the same name, or a source cannot be opened.
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
    """Open a file, a folder, `hf:REPOSITORY` of Hugging Face's hub, or a name known to tiktoken.

    GPT-2's vocabulary (`gpt2`, `r50k_base`) is part of bytemill; for other names tiktoken must be installed.

    Args:
        source: The tokenizer; `hf:` and names are tried only if no such file or folder exists.
        pattern: For a file or folder without a pattern, as in `Tokenizer.load`; otherwise "auto".
        special_tokens: For a file or folder without special tokens, as in `Tokenizer.load`; otherwise None.

    Raises:
        ArgumentError: The source is none of these, or it has its own pattern and another is given.
        DataError: The hub has no such tokenizer, or tiktoken knows the name but cannot download the vocabulary.
        FormatError: The vocabulary cannot be reproduced exactly.
    """
    source, path = str(source), Path(source)
    if path.exists():
        loaded = Tokenizer.load(path, pattern=pattern, special_tokens=special_tokens)
        _refuse_other_pattern(path, loaded, pattern)
        return loaded
    if pattern != "auto" or special_tokens is not None:
        raise ArgumentError(
            f"no file or folder {source!r}; a pattern and special tokens can be given only for a file or folder"
        )
    if source.startswith(HUB):
        return Tokenizer.load(fetch_tokenizer_file(source.removeprefix(HUB)))
    if source in SHIPPED:
        return Tokenizer.from_tiktoken(source)
    names = _tiktoken_names()
    if source in names:
        try:
            return Tokenizer.from_tiktoken(source)
        except OSError as error:
            raise DataError(
                f"tiktoken has no copy of {source!r} and could not download it; give a vocabulary file instead"
            ) from error
    known = f"one of tiktoken's names ({', '.join(names)})" if names else f"gpt2; {TIKTOKEN_MISSING}"
    raise ArgumentError(f"no tokenizer {source!r}; expected a file, a folder, {HUB}REPOSITORY or {known}")


def _refuse_other_pattern(path: Path, loaded: Tokenizer, pattern: str | None) -> None:
    """Refuse to replace a pattern stored in a file; GPT-2's two files and .tiktoken files have none."""
    is_pair = path.is_dir() and not (path / "tokenizer.json").is_file()
    if pattern == "auto" or is_pair:
        return
    try:
        own = Tokenizer.load(path)
    except FormatError:  # a .tiktoken file
        return
    if not is_same_pattern(own.pattern, loaded.pattern):
        raise ArgumentError(
            f"{path} has its own pattern, {own.pattern!r}, expected no other; to replace it, load the file in Python "
            "with Tokenizer.load(path, pattern=…)"
        )


def _own_name(source: str) -> str:
    """Return the file's name, or the folder's name if the file name is the same in every folder.

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
