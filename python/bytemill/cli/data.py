"""`bytemill data`: text into token shards, and checks of shards."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say

app = typer.Typer(help="Prepare and check token shards.", no_args_is_help=True)


@app.command()
def prepare(
    sources: Annotated[list[Path], typer.Argument(help="Text or .jsonl, also as .gz or .zst, or folders of them.")],
    tokenizer: Annotated[Path, typer.Option("--tokenizer", "-t", help="Any vocabulary that `load` reads.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write.")],
    shard_tokens: Annotated[int, typer.Option(min=1, help="Tokens in a full shard.")] = 100_000_000,
    val: Annotated[str, typer.Option(help="For validation: a share of the documents, or first_shard.")] = "0.01",
    seed: Annotated[int, typer.Option(min=0, help="Shuffles the documents and chooses those for validation.")] = 0,
    text_field: Annotated[str, typer.Option(help="The field of a .jsonl row that holds the text.")] = "text",
    threads: Annotated[int | None, typer.Option(min=1, help="Default: every core.")] = None,
) -> None:
    """Encode documents into checked token shards.

    Example: bytemill data prepare corpus/ -t tokenizer.json -o shards/
    """
    from bytemill import Tokenizer
    from bytemill.data import prepare

    manifest = prepare(
        sources,
        output,
        tokenizer=Tokenizer.load(tokenizer),
        shard_tokens=shard_tokens,
        val="first_shard" if val == "first_shard" else _share(val),
        seed=seed,
        text_field=text_field,
        threads=threads,
        progress=True,
    )
    for split in ("train", "val"):
        n_documents = manifest.documents(split)
        noun = "document" if n_documents == 1 else "documents"
        say(f"{split}: {manifest.tokens(split):,} tokens of {n_documents:,} {noun}")
    print(output)


@app.command()
def verify(folders: Annotated[list[Path], typer.Argument(help="Folders that `prepare` wrote.")]) -> None:
    """Check every byte of shards against their checksums; the first fault found is named.

    Example: bytemill data verify shards/
    """
    from bytemill.data import verify

    for folder in folders:
        verify(folder)
        print(f"{folder}: good")


def _share(val: str) -> float:
    try:
        return float(val)
    except ValueError:
        raise typer.BadParameter(f"{val!r} is neither a share such as 0.01 nor first_shard") from None
