"""`bytemill tokenizer train`: train a vocabulary, also save smaller ones, and write a report."""

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bytemill.cli.console import read_text, say
from bytemill.cli.encoded_sources import EncodingOption, decoded, decoded_text
from bytemill.cli.output_paths import STDOUT, on_disk
from bytemill.cli.sizes import bytes_of
from bytemill.cli.tokenizer.output import make_room, pattern_named, write_vocabulary
from bytemill.errors import ArgumentError, DataError
from bytemill.extras import require

if TYPE_CHECKING:
    from bytemill import Tokenizer
    from bytemill.tokenizer import TrainingReport

__all__ = ["train"]

Ties = Literal["huggingface", "lowest_id", "first_seen", "largest_bytes"]
Feed = Literal["documents", "lines"]

HELD_OUT_BYTES = 16 << 20


def train(
    vocab_size: Annotated[int, typer.Option(help="Total number of ids: 256 bytes, the merges and the special tokens.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The tokenizer.json to write; - is stdout.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files to train on: text or .jsonl (also as .gz or .zst), .parquet, .arrow, or folders; - for stdin."
        ),
    ] = None,
    pattern: Annotated[
        str | None,
        typer.Option(
            help="Pattern that splits text before merging: gpt2, cl100k, o200k, a tiktoken name, none (no splitting), "
            "or a regular expression. Default: gpt2, or the pattern of --base."
        ),
    ] = None,
    special_token: Annotated[
        list[str] | None,
        typer.Option(help="Special token. Repeat the option for several tokens. Default: <|endoftext|>."),
    ] = None,
    ties: Annotated[
        Ties | None,
        typer.Option(
            help="Which of two equally frequent pairs to merge first. huggingface: as Hugging Face does; lowest_id: "
            "the pair with the lowest ids; first_seen: the first in the text; largest_bytes: the pair with the largest "
            "bytes. Default: huggingface; with --pattern none, first_seen."
        ),
    ] = None,
    feed: Annotated[
        Feed, typer.Option(help="Apply the pattern to whole documents, or to each line as Hugging Face does.")
    ] = "documents",
    text_field: Annotated[
        str, typer.Option(help="Name of the field (.jsonl) or column (tables) that has the text.")
    ] = "text",
    min_frequency: Annotated[
        int, typer.Option(min=0, help="Minimum number of times that a pair must occur to be merged.")
    ] = 0,
    max_token_bytes: Annotated[
        int | None, typer.Option(min=1, help="Maximum length of a token in bytes. Default: no limit.")
    ] = None,
    utf8_safe: Annotated[
        bool,
        typer.Option("--utf8-safe", help="Never make a token that holds a whole character and a part of another."),
    ] = False,
    separator: Annotated[
        str | None,
        typer.Option(
            help="Text that separates the documents in a text file. Default: none; each file is one document."
        ),
    ] = None,
    max_memory: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=bytes_of,
            help="Memory limit: a number of bytes, or a size such as 200M or 2G. Default: none.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Number of threads. Default: one per core.")] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="Vocabulary to extend: a file, a folder, hf:REPOSITORY, or a tiktoken name. Its ids do not change."
        ),
    ] = None,
    counts: Annotated[Path | None, typer.Option(help="File that --save-counts wrote, in place of text files.")] = None,
    encoding: EncodingOption = None,
    save_counts: Annotated[
        Path | None,
        typer.Option(
            help="Also write to this file how often each pretoken occurs. --counts trains from it without the text.",
            callback=on_disk,
        ),
    ] = None,
    also_save: Annotated[
        str | None,
        typer.Option(help="Also save smaller vocabularies. 8192,16384 also writes NAME.8192.json and NAME.16384.json."),
    ] = None,
    held_out: Annotated[
        list[Path] | None,
        typer.Option(
            help="Text file that is not trained on, to measure the vocabulary. Repeat the option for several files."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            help="With --held-out: file for a report of the measurement, .html, .md or .json.", callback=on_disk
        ),
    ] = None,
) -> None:
    """Train a BPE vocabulary on text.

    Example: bytemill tokenizer train book.txt --vocab-size 4096 -o tokenizer.json
    """
    from bytemill import Tokenizer
    from bytemill.tokenizer.source import open_tokenizer

    if bool(files) == bool(counts):
        raise ArgumentError("give either files to train on, or --counts from an earlier run")
    if base and also_save:
        raise ArgumentError(
            "--also-save cannot be combined with --base: its special tokens are between its merges and the new ones"
        )
    if base and pattern is not None:
        raise ArgumentError("--pattern cannot be combined with --base, whose own pattern is used; remove --pattern")
    special_tokens = ["<|endoftext|>"] if special_token is None else special_token
    sizes = _sizes(also_save, 256 + len(special_tokens), vocab_size, output)
    _check_report(report, held_out)
    with decoded(held_out or [], encoding, near=output) as held_out_files:
        texts_held_out = _held_out(held_out_files, text_field, separator)
    make_room(output)
    for written in (report, save_counts):
        if written:
            make_room(written)
    from_stdin = files == [Path("-")]
    stdin = decoded_text(read_text(Path("-")), encoding) if from_stdin else b""
    opened_base = open_tokenizer(base) if base else None
    with (
        decoded([] if from_stdin else files or [], encoding, near=output) as decoded_files,
        warnings.catch_warnings(record=True) as warned,
    ):
        warnings.simplefilter("always")
        tokenizer = Tokenizer.train(
            files=decoded_files or None,
            texts=[stdin] if from_stdin else None,
            vocab_size=vocab_size,
            pattern=pattern_named("gpt2" if pattern is None else pattern),
            special_tokens=special_tokens,
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
            base=opened_base,
            counts=counts,
            save_counts=save_counts,
        )
    for warning in warned:
        say(f"bytemill: warning: {warning.message}")
    if tokenizer.n_vocab < vocab_size and not tokenizer.merges:
        sources = ", ".join(map(str, files)) if files else counts
        raise DataError(f"{sources}: the text has no two bytes to merge; give more text")
    if tokenizer.n_vocab < vocab_size:
        say(f"The text gives no more than {tokenizer.n_vocab:,} ids; {vocab_size:,} were asked for.")
    say(f"{tokenizer.n_vocab:,} ids, {len(tokenizer.merges):,} of them merges, written to:")
    _save(tokenizer, output)
    _save_smaller(tokenizer, sizes, output)
    if texts_held_out:
        _report(tokenizer, texts_held_out, report)


def _sizes(also_save: str | None, smallest: int, vocab_size: int, output: Path) -> list[int]:
    """Return the requested smaller sizes, given as `8192,16384`."""
    if also_save is None:
        return []
    words = re.split(r"\s*,\s*|\s+", also_save.strip())
    if len(set(words)) < len(words) or "" in words:
        raise ArgumentError(f"--also-save is {also_save!r}, expected different sizes with a comma between two")
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) < 20 and smallest <= int(word) < vocab_size):
            raise ArgumentError(
                f"--also-save has {word!r}, expected sizes of at least {smallest} (bytes and special tokens) below "
                f"--vocab-size, {vocab_size}"
            )
    if output == STDOUT:
        raise ArgumentError("--also-save needs a file name in --output, not -")
    return [int(word) for word in words]


def _check_report(report: Path | None, held_out: list[Path] | None) -> None:
    """Check the report options before long work begins."""
    if report is None:
        return
    from bytemill.report.vocabulary import check_report_name

    check_report_name(report)
    if report.suffix == ".html":
        require("matplotlib")
    if not held_out:
        raise ArgumentError("--report needs --held-out FILE: text that the vocabulary is not trained on")


def _save_smaller(tokenizer: "Tokenizer", sizes: list[int], output: Path) -> None:
    for size in sizes:
        if size > tokenizer.n_vocab:
            say(f"No vocabulary of {size:,} ids: the text gives no more than {tokenizer.n_vocab:,}.")
            continue
        path = output.with_name(f"{output.stem}.{size}{output.suffix}")
        _save(tokenizer.truncated(size), path)


def _save(tokenizer: "Tokenizer", path: Path) -> None:
    """Write a tokenizer.json, or the readable form if the former cannot hold the special tokens."""
    twice = [text for text, one in tokenizer.special_tokens.items() if tokenizer.encode_single_token(text) != one]
    if twice:
        say(
            f"Training made ordinary tokens with the text of special ones ({', '.join(twice)}), which a tokenizer.json "
            "cannot tell apart; what is written is the form readable:"
        )
    write_vocabulary(tokenizer, path, "readable" if twice else "huggingface")


def _held_out(files: list[Path] | None, text_field: str, separator: str | None) -> list[bytes]:
    """Read the held-out text before long work begins, so that a missing or empty file is found now."""
    from bytemill import _core

    if not files:
        return []
    names = [str(name) for name in files]
    texts = _core.read_documents(names, text_field=text_field, separator=separator, max_bytes=HELD_OUT_BYTES)
    if not any(texts):
        raise DataError(f"--held-out {', '.join(names)}: the text is empty, expected text to measure on")
    return texts


def _report(tokenizer: "Tokenizer", texts: list[bytes], path: Path | None) -> None:
    """Measure on the held-out text, show a table, and write the report if requested."""
    from bytemill.tokenizer import TrainingReport

    measured = TrainingReport.measure(tokenizer, texts)
    _show(measured)
    if path:
        from bytemill.report.provenance import provenance_here
        from bytemill.report.vocabulary import write_vocabulary_report

        print(write_vocabulary_report(measured, path, provenance=provenance_here()))


def _show(report: "TrainingReport") -> None:
    """Print a table to stderr."""
    from rich.console import Console
    from rich.table import Table

    from bytemill.report.figures import size

    say(f"On {size(report.held_out_bytes)} of held-out text:")
    table = Table()
    table.add_column("ids", justify="right")
    table.add_column("bytes per token", justify="right")
    for n_ids, value in report.growth:
        table.add_row(f"{n_ids:,}", f"{value:.3f}")
    Console(stderr=True).print(table)
    say(f"{report.n_unused:,} of {report.n_learnt:,} learned tokens ({report.unused_share:.1%}) are not used there.")
