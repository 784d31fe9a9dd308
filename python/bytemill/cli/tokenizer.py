"""`bytemill tokenizer`: train a vocabulary, encode, decode, convert."""

import errno
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bytemill.cli.console import read_text, say
from bytemill.cli.ids import documents, given_ids, write_ids
from bytemill.errors import ArgumentError, DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bytemill import Tokenizer

app = typer.Typer(help="Train and use byte-level BPE tokenizers.", no_args_is_help=True)

TokenizerPath = Annotated[
    Path,
    typer.Option("--tokenizer", "-t", help="tokenizer.json, .tiktoken, or a folder with GPT-2's two files."),
]
Ties = Literal["huggingface", "lowest_id", "first_seen", "largest_bytes"]
Feed = Literal["documents", "lines"]
Format = Literal["huggingface", "tiktoken", "readable", "gpt2"]
MaxTokens = Annotated[int | None, typer.Option(min=0, help="Only the first so many ids of each document.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object or list.")]


@app.command()
def train(
    files: Annotated[
        list[Path], typer.Argument(help="Text or .jsonl, also as .gz or .zst, or folders of them; - alone reads stdin.")
    ],
    vocab_size: Annotated[int, typer.Option(help="Ids in all: 256 bytes, merges and special tokens.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The tokenizer.json to write; - is stdout.")],
    pattern: Annotated[str, typer.Option(help="gpt2, cl100k, o200k, none, or any regex.")] = "gpt2",
    special_token: Annotated[
        list[str] | None, typer.Option(help="A special token; may be given again. Default <|endoftext|>.")
    ] = None,
    ties: Annotated[
        Ties | None,
        typer.Option(help="Among equal counts: huggingface, lowest_id, first_seen, largest_bytes."),
    ] = None,
    feed: Annotated[Feed, typer.Option(help="What is one text: documents or lines.")] = "documents",
    text_field: Annotated[str, typer.Option(help="The field of a .jsonl row that holds the text.")] = "text",
    min_frequency: Annotated[int, typer.Option(min=0, help="Stop at pairs met less often.")] = 0,
    max_token_bytes: Annotated[int | None, typer.Option(min=1, help="Make no token longer than this.")] = None,
    utf8_safe: Annotated[bool, typer.Option("--utf8-safe", help="Make no token that cuts a character.")] = False,
    separator: Annotated[str | None, typer.Option(help="What stands between the documents of a text file.")] = None,
    max_memory: Annotated[int | None, typer.Option(min=1, help="Bytes of memory to take at most.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every core.")] = None,
) -> None:
    """Learn a vocabulary from text.

    Example: bytemill tokenizer train book.txt --vocab-size 4096 -o tokenizer.json
    """
    from bytemill import Tokenizer

    _make_room(output)
    from_stdin = files == [Path("-")]
    tokenizer = Tokenizer.train(
        files=None if from_stdin else files,
        texts=[read_text(files[0])] if from_stdin else None,
        vocab_size=vocab_size,
        pattern=_pattern(pattern),
        special_tokens=("<|endoftext|>",) if special_token is None else special_token,
        ties=ties,
        feed=feed,
        text_field=text_field,
        min_frequency=min_frequency,
        max_token_bytes=max_token_bytes,
        utf8_safe=utf8_safe,
        separator=separator,
        max_memory=max_memory,
        threads=threads,
        progress=True,
    )
    if tokenizer.n_vocab < vocab_size and not tokenizer.merges:
        raise DataError(f"{', '.join(map(str, files))}: no two bytes to merge: is there any text?")
    if tokenizer.n_vocab < vocab_size:
        say(f"The text gives no more than {tokenizer.n_vocab:,} ids; {vocab_size:,} were asked for.")
    say(f"{tokenizer.n_vocab:,} ids, {len(tokenizer.merges):,} of them merges, written to:")
    _write(tokenizer, output, "huggingface")


@app.command()
def encode(
    tokenizer: TokenizerPath,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Text or .jsonl, also as .gz or .zst; - or nothing reads stdin."),
    ] = None,
    text: Annotated[str | None, typer.Option(help="This text instead of files.")] = None,
    special: Annotated[bool, typer.Option(help="Let special tokens in the text become their ids.")] = False,
    max_tokens: MaxTokens = None,
    out: Annotated[
        Path | None, typer.Option(help="Write all ids to this file: .npy, or raw uint16 (uint32 past 65,536 ids).")
    ] = None,
    end_token: Annotated[str | None, typer.Option(help="With --out: a special token after each document.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the ids of each document on a line, separated by spaces, or write them to one file.

    A document is a text file, or a row of a .jsonl file.

    Example: echo -n "Hello" | bytemill tokenizer encode -t tokenizer.json
    """
    from bytemill import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    if out is not None:
        _encode_to(loaded, out, files, text, special=special, max_tokens=max_tokens, end_token=end_token)
        return
    if end_token is not None:
        raise ArgumentError("--end-token goes with --out")
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
    """Write ids to one file: from files in bounded memory, what is cut short or has no file at once."""
    import numpy as np

    _make_room(out)
    if files and text is None and max_tokens is None and Path("-") not in files:
        n_ids = tokenizer.encode_to_file(files, out, end_token=end_token, progress=True, **_rules(special))
    else:
        dtype: Literal["uint16", "uint32"] = "uint16" if tokenizer.n_vocab <= 1 << 16 else "uint32"
        end = [] if end_token is None else [np.array([tokenizer.encode_single_token(end_token)], dtype=dtype)]
        rows: list[NDArray[Any]] = [np.array([], dtype=dtype)]
        for one in documents(text, files):
            rows += [tokenizer.encode_to_numpy(one, max_tokens=max_tokens, dtype=dtype, **_rules(special)), *end]
        write_ids(out, np.concatenate(rows))
        n_ids = sum(map(len, rows))
    say(f"{n_ids:,} ids, written to:")
    print(out)


def _rules(special: bool) -> dict[str, Any]:
    """What to do about special tokens in text: they become their ids, or are text like any other."""
    return {"allowed_special": "all" if special else (), "disallowed_special": ()}


@app.command()
def decode(
    tokenizer: TokenizerPath,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Ids as text (also .gz, .zst), .npy or raw .bin; - or nothing reads stdin."),
    ] = None,
    ids: Annotated[str | None, typer.Option(help="These ids instead of files.")] = None,
    max_tokens: MaxTokens = None,
    out: Annotated[Path | None, typer.Option(help="Write the text to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print the text of ids: numbers with spaces between them, a JSON list, or what `encode --out` wrote.

    Example: bytemill tokenizer decode -t tokenizer.json --ids "72 101 108 108 111"
    """
    from bytemill import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    decoded = [loaded.decode_bytes(one[:max_tokens]) for one in given_ids(loaded.n_vocab, ids, files)]
    if as_json:
        decoded = [(json.dumps(one.decode(errors="replace")) + "\n").encode() for one in decoded]
    if out is not None:
        _make_room(out)
        out.write_bytes(b"".join(decoded))
        print(out)
        return
    sys.stdout.buffer.writelines(decoded)
    sys.stdout.buffer.flush()


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A vocabulary in any form that `load` reads; - is stdin.")],
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

    with tempfile.TemporaryDirectory() as folder:
        if str(source) == "-":
            source = Path(folder) / "stdin"
            source.write_bytes(read_text(Path("-")))
        loaded = Tokenizer.load(source, pattern=_pattern(pattern))
    _write(loaded, output, form)


def _pattern(given: str) -> str | None:
    return None if given == "none" else given


def _make_room(output: Path) -> None:
    """Make sure that `output` can be written, before long work begins."""
    if output.is_dir():
        raise ArgumentError(f"{output} is a folder; name the file to write")
    output.parent.mkdir(parents=True, exist_ok=True)
    if str(output) != "-" and not os.access(output.parent, os.W_OK):
        raise PermissionError(errno.EACCES, "the folder cannot be written to", str(output.parent))


def _write(tokenizer: "Tokenizer", output: Path, form: Format) -> None:
    """Save a vocabulary and print where, or for `-` print the vocabulary itself."""
    if str(output) != "-":
        output.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(output, format=form)
        print(output)
        return
    if form == "gpt2":
        raise ArgumentError("the form gpt2 is two files; name a folder instead of -")
    with tempfile.TemporaryDirectory() as folder:
        tokenizer.save(Path(folder) / "vocabulary", format=form)
        sys.stdout.write((Path(folder) / "vocabulary").read_text(encoding="utf-8"))
