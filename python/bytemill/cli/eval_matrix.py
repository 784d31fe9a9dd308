"""`bytemill eval matrix`: measure the loss of several models on several data sets."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, measuring, put, say
from bytemill.cli.several_models import (
    AskedBy,
    Models,
    OwnTokenizer,
    Page,
    Split,
    SplitSeed,
    named,
    open_for_use,
    show,
    split_of,
)
from bytemill.cli.tables import put_tables

if TYPE_CHECKING:
    from bytemill.evaluate.matrix import DataSet
    from bytemill.tasks.usable_model import UsableModel


def matrix(
    models: Models,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            help="File of rows, or a .txt file; NAME=FILE gives it a name. Repeat the option for several files.",
        ),
    ],
    tokenizer: OwnTokenizer = None,
    template: AskedBy = None,
    n_rows: Annotated[int, typer.Option(min=1, help="Number of random rows per data set.")] = 512,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for choosing the rows.")] = 0,
    split: Split = "all",
    split_seed: SplitSeed = None,
    max_tokens: Annotated[
        int, typer.Option(min=2, help="Truncate rows to this many tokens; at most the model's context length.")
    ] = 512,
    text_column: Annotated[str, typer.Option(help="Column that holds the text.")] = "text",
    batch_size: Annotated[int, typer.Option(min=1, help="Rows per batch.")] = 8,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
    page: Page = None,
) -> None:
    """Print the mean loss, in nats per token, of each model on the same random rows of each data set.

    For instructions only the answers count; for texts, every token counts.

    Example: bytemill eval matrix -m base=runs/first -m runs/tuned -d imdb.csv -d alpaca.json
    """
    from bytemill.data.rows.read import refuse_missing

    places = named(models)
    for place in named(data).values():
        refuse_missing(place)
    shares, seed_of_split = split_of(places.values(), split_seed)
    from bytemill.evaluate.matrix import LossMatrix, data_set_losses, draw_data_set

    def drawn_for(opened: "UsableModel") -> "list[DataSet]":
        return [
            draw_data_set(
                name,
                place,
                opened.tokenizer,
                n_rows=n_rows,
                max_tokens=min(max_tokens, opened.model.config.n_positions),
                seed=seed,
                split=split,
                split_seed=seed_of_split,
                shares=shares,
                text_column=text_column,
                template=opened.template,
            )
            for name, place in named(data).items()
        ]

    losses: dict[str, list[float]] = {}
    for name, place in places.items():
        opened = open_for_use(place, tokenizer, template)
        drawn = drawn_for(opened)
        for one in drawn if not losses else []:
            say(f"{one.name}: {one.encoded.report()}")
        pad_id = opened.tokenizer.end_of_text_id or 0  # padding is not read, so any id works
        with measuring(name):
            losses[name] = data_set_losses(opened.model, drawn, pad_id=pad_id, batch_size=batch_size)
        say(f"{name}: done")
    found = LossMatrix(drawn, losses)
    if page is not None:
        from bytemill.report.evaluation import matrix_page
        from bytemill.report.provenance import provenance_here

        show(matrix_page(found, provenance=provenance_here()), Path(page))
    if as_json:
        put(json_text(found.as_json()))
    else:
        put_tables(found.as_markdown())
