"""`bytemill eval matrix`: the loss of models on data sets."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import json_text, put, say
from bytemill.cli.models import Models, Page, Split, SplitSeed, Tokenizers, named, show


def matrix(
    models: Models,
    tokenizer: Tokenizers,
    data: Annotated[
        list[str],
        typer.Option("--data", "-d", help="Rows or a .txt, or NAME=PLACE; may be given several times."),
    ],
    n_rows: Annotated[int, typer.Option(min=1, help="Random rows of each data set.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    split: Split = "all",
    split_seed: SplitSeed = 0,
    max_tokens: Annotated[int, typer.Option(min=2, help="Longer rows are cut.")] = 512,
    text_column: Annotated[str, typer.Option(help="Column of texts.")] = "text",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows at a time.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of Markdown.")] = False,
    page: Page = None,
) -> None:
    """Print the mean loss, in nats a token, of each model on the same random rows of each data set.

    Instructions count by their answers, texts as a whole.

    Example: bytemill eval matrix -m base=runs/first -m runs/tuned -t tokenizer.json -d imdb.csv -d alpaca.json
    """
    from bytemill.evaluate.matrix import LossMatrix, data_set_losses, draw_data_set
    from bytemill.tasks.base_model import model_at_work
    from bytemill.tokenizer.source import open_tokenizer

    loaded = open_tokenizer(tokenizer)
    drawn = [
        draw_data_set(
            name,
            place,
            loaded,
            n_rows=n_rows,
            max_tokens=max_tokens,
            seed=seed,
            split=split,
            split_seed=split_seed,
            text_column=text_column,
        )
        for name, place in named(data).items()
    ]
    for one in drawn:
        say(f"{one.name}: {one.encoded.report()}")
    losses = {}
    for name, place in named(models).items():
        model = model_at_work(place, tokenizer_sha256=loaded.fingerprint)
        losses[name] = data_set_losses(model, drawn, pad_id=loaded.eot_token, batch_size=batch_size)
        say(f"{name}: done")
    found = LossMatrix(drawn, losses)
    if page is not None:
        from bytemill.report.evaluation import matrix_page

        show(matrix_page(found), Path(page))
    put(json_text(found.as_json()) if as_json else found.as_markdown(), end="\n" if as_json else "")
