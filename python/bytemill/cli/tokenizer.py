"""`bytemill tokenizer`: train a vocabulary, encode, decode, convert."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import read_text
from bytemill.cli.tokenizer_output import Format, pattern_named, write_vocabulary
from bytemill.cli.tokenizer_train import train
from bytemill.errors import ArgumentError, DataError

app = typer.Typer(help="Train and use byte-level BPE tokenizers.", no_args_is_help=True)

TokenizerPath = Annotated[
    Path,
    typer.Option("--tokenizer", "-t", help="tokenizer.json, .tiktoken, or a folder with GPT-2's two files."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object or list.")]


app.command()(train)


@app.command()
def encode(
    tokenizer: TokenizerPath,
    files: Annotated[list[Path] | None, typer.Argument(help="Text files; - or nothing reads stdin.")] = None,
    text: Annotated[str | None, typer.Option(help="This text instead of files.")] = None,
    special: Annotated[bool, typer.Option(help="Let special tokens in the text become their ids.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the ids of a text, separated by spaces.

    Example: echo -n "Hello" | bytemill tokenizer encode -t tokenizer.json
    """
    from bytemill import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    texts = _given(text, files, "--text")
    for one in texts:
        ids = loaded.encode(one, allowed_special="all") if special else loaded.encode_ordinary(one)
        print(json.dumps(ids) if as_json else " ".join(map(str, ids)))


@app.command()
def decode(
    tokenizer: TokenizerPath,
    files: Annotated[list[Path] | None, typer.Argument(help="Files of ids; - or nothing reads stdin.")] = None,
    ids: Annotated[str | None, typer.Option(help="These ids instead of files.")] = None,
) -> None:
    """Print the text of ids, given with spaces between them or as a JSON list.

    Example: bytemill tokenizer decode -t tokenizer.json --ids "72 101 108 108 111"
    """
    from bytemill import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    for source in _given(ids, files, "--ids"):
        sys.stdout.buffer.write(loaded.decode_bytes(_ids(source)))
    sys.stdout.buffer.flush()


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A vocabulary in any form that `load` reads.")],
    output: Annotated[Path, typer.Argument(help="The file or folder to write; - is stdout.")],
    form: Annotated[Format, typer.Option("--format", help="huggingface, tiktoken, readable or gpt2.")] = "huggingface",
    pattern: Annotated[
        str, typer.Option(help="Where the source holds none: gpt2, cl100k, o200k, none, or any regex.")
    ] = "auto",
) -> None:
    """Write a vocabulary in another tool's form.

    Example: bytemill tokenizer convert gpt2.tiktoken tokenizer.json
    """
    from bytemill import Tokenizer

    write_vocabulary(Tokenizer.load(source, pattern=pattern_named(pattern)), output, form)


def _given(text: str | None, files: list[Path] | None, option: str) -> list[str]:
    """What an option gives, or else files, or else stdin."""
    if text is not None and files:
        raise ArgumentError(f"give {option} or files, not both")
    return [text] if text is not None else [_utf8(path) for path in files or [Path("-")]]


def _utf8(path: Path) -> str:
    try:
        return read_text(path).decode()
    except UnicodeDecodeError as error:
        name = "stdin" if str(path) == "-" else path
        raise DataError(f"{name}: not UTF-8 text: invalid byte at offset {error.start}") from None


def _ids(source: str) -> list[int]:
    words = source.replace(",", " ").strip().strip("[]").split()
    for position, word in enumerate(words):
        if not (word.isascii() and word.isdigit()):
            raise ArgumentError(f"ids must be whole numbers, found {word!r} at position {position}")
    return [int(word) for word in words]
