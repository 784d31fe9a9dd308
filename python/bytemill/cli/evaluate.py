"""`bytemill eval`: measures of a model on data."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bytemill.errors import DataError

app = typer.Typer(help="Measure a model on data.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Measure a model on data."""


@app.command()
def loss(
    model: Annotated[str, typer.Option("--model", "-m", help="A run, a checkpoint, or Hugging Face weights.")],
    data: Annotated[Path, typer.Option("--data", "-d", help="A folder of token shards.")],
    tokenizer: Annotated[
        Path | None,
        typer.Option("--tokenizer", "-t", help="For bits per byte, comparable across tokenizers."),
    ] = None,
    split: Annotated[str, typer.Option(help="train or val.")] = "val",
    seq_len: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a sample. Default: as many as the model sees.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples at a time.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print the mean loss over a whole split: nats a token, perplexity, bits a byte.

    Example: bytemill eval loss -m runs/first -d shards -t tokenizer.json
    """
    from bytemill import Tokenizer
    from bytemill.data import TokenLoader, read_manifest
    from bytemill.evaluate.loss import bytes_per_token, held_out_loss
    from bytemill.tasks.base_model import load_base_model
    from bytemill.tasks.pretrain import one_pass

    manifest = read_manifest(data)
    loaded_tokenizer = None if tokenizer is None else Tokenizer.load(tokenizer)
    if loaded_tokenizer is not None:
        manifest.refuse_other(loaded_tokenizer)
    loaded = load_base_model(model, tokenizer_sha256=manifest.tokenizer_sha256)
    if manifest.n_vocab > loaded.config.vocab_size:
        raise DataError(f"{data}: its ids need a model of {manifest.n_vocab}, {model} knows {loaded.config.vocab_size}")
    loader = TokenLoader(
        data, batch_size=batch_size, seq_len=seq_len or loaded.config.n_positions, split=split, shuffle=False
    )
    token_bytes = None if loaded_tokenizer is None else bytes_per_token(loaded_tokenizer)
    metrics = held_out_loss(loaded, one_pass(loader), token_bytes=token_bytes).as_metrics(prefix="")
    if as_json:
        print(json.dumps(metrics))
    else:
        for name, value in metrics.items():
            print(f"{name.replace('_', ' ')}: {value:.4f}")
