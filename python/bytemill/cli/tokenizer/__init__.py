"""`bytemill tokenizer`: train, encode, decode, convert, inspect, vocab, check, compare and audit."""

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import read_text, say
from bytemill.cli.output_paths import STDOUT, stdout_for_numbers
from bytemill.cli.tokenizer.audit import audit
from bytemill.cli.tokenizer.check import check
from bytemill.cli.tokenizer.compare import compare
from bytemill.cli.tokenizer.ids import documents, given_ids, write_ids
from bytemill.cli.tokenizer.inspect import inspect
from bytemill.cli.tokenizer.options import SOURCE_HELP, Special, TokenizerSource
from bytemill.cli.tokenizer.output import (
    Format,
    make_room,
    pattern_named,
    special_tokens_given,
    write_vocabulary,
)
from bytemill.cli.tokenizer.train import train
from bytemill.cli.tokenizer.vocab import vocab
from bytemill.errors import ArgumentError
from bytemill.files import write_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bytemill import Tokenizer

app = typer.Typer(help="Train and use byte-level BPE tokenizers.", no_args_is_help=True)

MaxTokens = Annotated[
    int | None, typer.Option(min=0, help="Maximum number of ids per document; the rest is left out. Default: no limit.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object or list.")]


for command in (train, inspect, vocab, compare, check, audit):
    app.command()(command)


@app.command()
def encode(
    tokenizer: TokenizerSource,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Text or .jsonl files, also .gz or .zst; - or no file reads stdin."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="Use this text instead of files.")] = None,
    special: Special = False,
    max_tokens: MaxTokens = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write all ids to this file: .npy, or raw uint16 (uint32 if the vocabulary has more than 65,536 ids); "
            "- writes them to stdout."
        ),
    ] = None,
    end_token: Annotated[
        str | None, typer.Option(help="With --out: add this special token after each document.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the ids of each document on one line, separated by spaces; or write all ids to one file.

    A document is a text file, or a row of a .jsonl file.

    Example: echo -n "Hello" | bytemill tokenizer encode -t tokenizer.json
    """
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    if out is not None:
        _encode_to(loaded, out, files, text, special=special, max_tokens=max_tokens, end_token=end_token)
        return
    if end_token is not None:
        raise ArgumentError("--end-token needs --out")
    for one in documents(text, files):
        ids = loaded.encode(one, max_tokens=max_tokens, **_rules(special))
        print(json.dumps(ids) if as_json else " ".join(map(str, ids)))


def _encode_to(
    tokenizer: "Tokenizer",
    out: Path,
    files: list[Path] | None,
    text: str | None,
    *,
    special: bool,
    max_tokens: int | None,
    end_token: str | None,
) -> None:
    """Write ids to one file or to stdout: files in bounded memory; truncated or other text all in memory."""
    import numpy as np

    dtype: Literal["uint16", "uint32"] = "uint16" if tokenizer.n_vocab <= 1 << 16 else "uint32"
    end = [] if end_token is None else [_special_id(tokenizer, end_token)]

    def rows() -> "Iterator[NDArray[Any]]":
        yield np.array([], dtype=dtype)
        for one in documents(text, files):
            yield tokenizer.encode_to_numpy(one, max_tokens=max_tokens, dtype=dtype, **_rules(special))
            yield np.array(end, dtype=dtype)

    if out == STDOUT:
        stdout_for_numbers().writelines(row.tobytes() for row in rows())
        return
    make_room(out)
    if files and text is None and max_tokens is None and Path("-") not in files:
        n_ids = tokenizer.encode_to_file(files, out, end_token=end_token, progress=True, **_rules(special))
    else:
        ids = np.concatenate(list(rows()))
        write_ids(out, ids)
        n_ids = len(ids)
    say(f"{n_ids:,} ids, written to:")
    print(out)


def _special_id(tokenizer: "Tokenizer", end_token: str) -> int:
    special = tokenizer.special_tokens
    if end_token not in special:
        known = ", ".join(special) or "none"
        raise ArgumentError(f"--end-token is {end_token!r}, expected a special token of this vocabulary: {known}")
    return special[end_token]


def _rules(special: bool) -> dict[str, Any]:
    """Return the rules for special tokens in text: they become their ids, or are ordinary text."""
    return {"allowed_special": "all" if special else (), "disallowed_special": ()}


@app.command()
def decode(
    tokenizer: TokenizerSource,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Files of ids: text (also .gz, .zst), .npy or raw .bin; - or no file reads stdin."),
    ] = None,
    ids: Annotated[str | None, typer.Option(help="Use these ids instead of files.")] = None,
    max_tokens: MaxTokens = None,
    out: Annotated[Path | None, typer.Option(help="Write the text to this file; - is stdout.")] = None,
    as_json: AsJson = False,
) -> None:
    """Decode ids to text; ids are numbers separated by spaces, a JSON list, or a file from `encode --out`.

    Example: bytemill tokenizer decode -t tokenizer.json --ids "72 101 108 108 111"
    """
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    decoded = [loaded.decode_bytes(one[:max_tokens]) for one in given_ids(loaded.n_vocab, ids, files)]
    if as_json:
        decoded = [(json.dumps(one.decode(errors="replace")) + "\n").encode() for one in decoded]
    if out is not None and out != STDOUT:
        make_room(out)
        write_bytes(out, b"".join(decoded))
        print(out)
        return
    sys.stdout.buffer.writelines(decoded)
    sys.stdout.buffer.flush()


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help=f"{SOURCE_HELP.removesuffix('.')}; - is stdin.")],
    output: Annotated[Path, typer.Argument(help="File or folder to write; - is stdout.")],
    form: Annotated[
        Format, typer.Option("--format", help="Format to write: huggingface, tiktoken, readable or gpt2.")
    ] = "huggingface",
    pattern: Annotated[
        str,
        typer.Option(
            help="For a source without a pattern: gpt2, cl100k, o200k, a tiktoken name, none, or a regular expression."
        ),
    ] = "auto",
    special_token: Annotated[
        list[str] | None,
        typer.Option(
            help="Special token, for a source without special tokens: TEXT or TEXT=ID. Repeat the option for several."
        ),
    ] = None,
) -> None:
    """Convert a vocabulary to another tool's format.

    GPT-2's vocabulary is part of bytemill: the name gpt2 needs no network.

    Example: bytemill tokenizer convert gpt2 gpt2.json
    """
    from bytemill.tokenizer.source import open_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        if source == "-":
            source = str(Path(folder) / "stdin")
            write_bytes(source, read_text(Path("-")))
        loaded = open_tokenizer(
            source, pattern=pattern_named(pattern), special_tokens=special_tokens_given(special_token)
        )
    write_vocabulary(loaded, output, form)
