"""`bytemill data`: prepare, verify, inspect, measure and merge token shards, and download data sets."""

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bytemill.cli.console import open_stdin, say
from bytemill.cli.encoded_sources import AS_BYTES, EncodingOption, decoded
from bytemill.cli.output_paths import on_disk
from bytemill.cli.sizes import bytes_of
from bytemill.cli.temporary_folder import temporary_folder
from bytemill.outside_text import printable

app = typer.Typer(help="Prepare, check and inspect token shards; download data sets.", no_args_is_help=True)

_PIECE_BYTES = 1 << 20
_LOOK_EVERY_S = 0.2


@app.command()
def prepare(
    sources: Annotated[
        list[str],
        typer.Argument(
            help="Files or folders of text; - for stdin; hf:NAME, hf:NAME:CONFIG or hf:NAME:CONFIG:SPLIT for a data "
            "set of the Hugging Face hub."
        ),
    ],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="Tokenizer: a file or a folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.", callback=on_disk)],
    shard_tokens: Annotated[int, typer.Option(min=1, help="Maximum tokens per shard.")] = 100_000_000,
    val: Annotated[
        str,
        typer.Option(
            help="Validation part: a fraction of the documents, such as 0.01, chosen at random, or first_shard for the "
            "whole first shard. If there is only one document, its last tenth is used."
        ),
    ] = "0.01",
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Random seed for the order of the documents and for the choice of validation documents."
        ),
    ] = 0,
    text_field: Annotated[
        str, typer.Option(help="Name of the field (.jsonl) or column (tables) that has the text.")
    ] = "text",
    threads: Annotated[int | None, typer.Option(min=1, help="Number of threads. Default: one per core.")] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=bytes_of,
            help="Maximum memory for text and tokens: a number of bytes, or a size such as 200M or 2G. Default: about "
            "40M per thread.",
            show_default=False,
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="When done, decode the shards and compare them with the text.")
    ] = False,
    shard_of: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Prepare only the I-th of N groups of files, to share the work between machines. Each file "
            "becomes a folder part_… in --output; `data merge` joins these folders.",
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help="Address of a Ray cluster, or auto. Each file is then prepared as one task of this cluster."),
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--jsonl", help="If the source is stdin: one JSON object per line, not plain text.")
    ] = False,
    encoding: EncodingOption = None,
) -> None:
    """Encode documents into token shards with checksums.

    Example: bytemill data prepare corpus/ -t tokenizer.json -o shards/
    """
    from bytemill.data import prepare
    from bytemill.tokenizer.source import open_tokenizer
    from bytemill.tokenizer.tokenizer import END_OF_TEXT

    opened = open_tokenizer(tokenizer)
    if END_OF_TEXT not in opened.special_tokens:
        say(
            f"bytemill: warning: {tokenizer} has no special token {END_OF_TEXT}, so documents are joined without a "
            "mark between them"
        )
    options: dict[str, Any] = {
        "tokenizer": opened,
        "shard_tokens": shard_tokens,
        "val": "first_shard" if val == "first_shard" else _share(val),
        "seed": seed,
        "text_field": text_field,
        "threads": threads,
        "max_memory": max_memory,
        "check": check,
    }
    with (
        _files(sources, output, text_field, json_lines=json_lines) as stored,
        decoded(stored, encoding, near=output) as files,
    ):
        if shard_of is not None:
            _prepare_share(files, output, shard_of, options)
        elif ray is not None:
            from bytemill.data.parts import prepare_on_ray

            address = None if ray == "auto" else ray
            _tell(prepare_on_ray(files, output, address=address, **options))
        else:
            _tell(prepare(files, output, progress=True, **options))


def _prepare_share(files: list[Path], output: Path, shard_of: str, options: dict[str, Any]) -> None:
    from bytemill.data.parts import prepare_parts

    task, slash, n_tasks = shard_of.partition("/")
    if not (slash and task.isdecimal() and n_tasks.isdecimal()):
        raise typer.BadParameter(f"{shard_of!r} is not i/n, such as 1/8")
    for folder in prepare_parts(files, output, shard_of=(int(task), int(n_tasks)), **options):
        print(folder)


def _tell(manifest: Any) -> None:
    for split in ("train", "val"):
        n_documents = manifest.documents(split)
        noun = "document" if n_documents == 1 else "documents"
        say(f"{split}: {manifest.tokens(split):,} tokens of {n_documents:,} {noun}")
    print(manifest.folder)


@contextmanager
def _files(sources: list[str], output: Path, text_field: str, *, json_lines: bool) -> Iterator[list[Path]]:
    """Yield the sources as files; text from stdin or the hub is stored next to the output meanwhile."""
    from bytemill.data import hub

    if not any(source == "-" or source.startswith(hub.PREFIX) for source in sources):
        yield [Path(source) for source in sources]
        return
    with temporary_folder(output.resolve().parent) as folder:
        files = []
        for source in sources:
            name = source.removeprefix(hub.PREFIX).strip("/").replace("/", "_").replace(":", "_")
            if source == "-":
                files.append(folder / ("stdin.jsonl" if json_lines else "stdin.txt"))
                _copy_stdin(files[-1])
            elif source.startswith(hub.PREFIX):
                files.append(folder / f"{name}.jsonl")
                hub.write_rows(source, files[-1], text_field=text_field)
            else:
                files.append(Path(source))
        yield files


def _copy_stdin(path: Path) -> None:
    from bytemill.files import new_file

    stdin = open_stdin().fileno()
    with new_file(path) as file:
        while True:
            # Do not block in a single read: a signal just before it would be handled only after more input.
            if not select.select([stdin], [], [], _LOOK_EVERY_S)[0]:
                continue
            piece = os.read(stdin, _PIECE_BYTES)
            if not piece:
                return
            file.write(piece)


@app.command()
def verify(
    folders: Annotated[list[Path], typer.Argument(help="Folders written by `prepare`.")],
    against: Annotated[
        list[str] | None,
        typer.Option(
            help="File or folder that the shards were made from: decode all tokens and compare them with this text. "
            "Repeat the option for several sources."
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", "-t", help="Tokenizer of the shards; required with --against.")
    ] = None,
    json_lines: Annotated[
        bool, typer.Option("--jsonl", help="If --against is stdin: one JSON object per line, not plain text.")
    ] = False,
    encoding: EncodingOption = None,
) -> None:
    """Check every byte of shards against their checksums or their source text, and report the first error.

    Example: bytemill data verify shards/ --against corpus/ -t tokenizer.json
    """
    from bytemill.data import read_manifest, verify
    from bytemill.tokenizer.source import open_tokenizer

    if (against is None) != (tokenizer is None):
        given, missing = ("--against", "--tokenizer") if tokenizer is None else ("--tokenizer", "--against")
        raise typer.BadParameter(f"{given} needs {missing} as well: tokens are decoded and compared with the text")
    if against is None or tokenizer is None:
        for folder in folders:
            verify(folder)
            print(f"{folder}: good")
        return
    if len(folders) > 1:
        raise typer.BadParameter("--against compares one folder; give each folder with its own sources")
    text_field = read_manifest(folders[0]).text_field
    with (
        _files(against, folders[0], text_field, json_lines=json_lines) as stored,
        decoded(stored, AS_BYTES if encoding is None else encoding, near=folders[0]) as files,
    ):
        verify(folders[0], against=files, tokenizer=open_tokenizer(tokenizer), progress=True)
    print(f"{folders[0]}: good, and its tokens are those of the text")


@app.command()
def inspect(
    source: Annotated[
        str, typer.Argument(help="Folder written by `data prepare`; with --task, rows as for --data of finetune.")
    ],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="Tokenizer of the shards or the model.")],
    task: Annotated[
        str | None,
        typer.Option(help="Show rows as this task trains on them: lm, instruct, chat, classify or preference."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="A.B=C", help="With --task: change a setting of the task, such as data.max_rows=100."
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split: train or val.")] = "train",
    first: Annotated[int, typer.Option(min=0, help="Number of the first document or row to show, counted from 0.")] = 0,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="Number of documents or rows to show.")] = 3,
    tokens: Annotated[int, typer.Option(min=1, help="Maximum number of tokens to show per document or row.")] = 200,
) -> None:
    """Show decoded documents with coloured tokens, or the rows of a task with trained tokens highlighted.

    If stdout is not a terminal, trained tokens are marked with ⟦ ⟧.

    Example: bytemill data inspect shards/ -t tokenizer.json -n 2
    """
    if task is not None:
        from bytemill.cli.given_settings import as_settings
        from bytemill.cli.inspect_rows import show_rows
        from bytemill.train.config import load_config

        given = as_settings({"task": task, "data.path": source, "data.tokenizer": tokenizer})
        show_rows(load_config(overrides=[*given, *(settings or [])]), first=first, number=number, most_tokens=tokens)
        return
    from itertools import islice

    from rich.console import Console
    from rich.text import Text

    from bytemill.data import read_manifest
    from bytemill.data.inspect import documents
    from bytemill.tokenizer.source import open_tokenizer

    vocabulary = open_tokenizer(tokenizer)
    read_manifest(source).refuse_other(vocabulary)
    console = Console(soft_wrap=True, highlight=False)
    colours = ("black on bright_cyan", "black on bright_yellow", "black on bright_green")
    for document in islice(documents(source, split, first=first, most_tokens=tokens), number):
        head = (
            f"── document {document.number:,} of {split}: {document.n_tokens:,} tokens from {document.first_token:,} on"
        )
        console.print(Text(f"{head} ──", style="bold"))
        shown = Text()
        for place, token in enumerate(document.ids.tolist()):
            piece = vocabulary.decode_single_token_bytes(token).decode(errors="replace")
            if console.is_terminal:
                shown.append(printable(piece), style=colours[place % len(colours)])
            else:
                shown.append(piece)
        if document.n_tokens > len(document.ids):
            shown.append(f" … {document.n_tokens - len(document.ids):,} more", style="dim")
        console.print(shown)


@app.command()
def stats(
    folder: Annotated[Path, typer.Argument(help="Folder written by `prepare`.")],
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", "-t", help="Tokenizer, to show the text of frequent tokens.")
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Write a histogram of document lengths to this file (.png, .svg, .pdf).", callback=on_disk),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Print document lengths, the most frequent tokens and the share of each source.

    Example: bytemill data stats shards/ -t tokenizer.json --plot lengths.png
    """
    from bytemill.data.statistics import folder_statistics, plot_lengths, print_statistics
    from bytemill.tokenizer.source import open_tokenizer

    vocabulary = None if tokenizer is None else open_tokenizer(tokenizer)
    found = folder_statistics(folder, vocabulary)
    print_statistics(found, as_json=as_json)
    if plot is not None:
        plot_lengths(folder, plot)
        say(f"lengths: {plot}")


@app.command()
def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of shards, in the order to merge.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder to write.", callback=on_disk)],
) -> None:
    """Merge the shards of several folders into one folder, and check every byte.

    Example: bytemill data merge parts/part_* -o shards/
    """
    from bytemill.data import merge

    _tell(merge(folders, output))


@app.command()
def fetch(
    name: Annotated[
        str | None, typer.Argument(help="Name of the data set. Without a name, all known data sets are listed.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder for downloads. Default: the environment variable BYTEMILL_CACHE, else ~/.cache/bytemill.",
            callback=on_disk,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Also write the data set's file here, if it has one file.", callback=on_disk
        ),
    ] = None,
    from_file: Annotated[
        Path | None,
        typer.Option(
            "--from", help="Use this file, which you downloaded yourself; do not use the network.", callback=on_disk
        ),
    ] = None,
) -> None:
    """Download a data set by name and show its licence; an interrupted download is resumed.

    The last line that the command prints is the path of --output, or of the data set's folder in the cache.

    Example: bytemill data fetch tinyshakespeare -o book.txt
    """
    from bytemill.data import fetch
    from bytemill.data.sources import SOURCES
    from bytemill.network import NetworkError

    if name is None:
        for known, source in SOURCES.items():
            print(f"{known}\t{source.about}\t{source.licence}")
        return
    if name in SOURCES:
        say(f"{name}: {SOURCES[name].about}. Licence: {SOURCES[name].licence}")
    try:
        print(fetch(name, cache=cache, from_file=from_file, output=output, progress=True))
    except NetworkError:
        if name in SOURCES and SOURCES[name].url:
            say(f"Without a network: get {SOURCES[name].url}, then add --from FILE to this command.")
        raise


def _share(val: str) -> float:
    try:
        return float(val)
    except ValueError:
        raise typer.BadParameter(f"{val!r} is neither a fraction, such as 0.01, nor first_shard") from None
