"""`bytemill ladder`: measure how much each change speeds up training on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, put, say
from bytemill.cli.output_paths import on_disk
from bytemill.extras import require

if TYPE_CHECKING:
    from bytemill.experiment.ladder import Measurement


def ladder(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Model: gpt2, gpt2-medium, gpt2-large or gpt2-xl. Default: gpt2 on a GPU, else a smaller one.",
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Folder of token shards to train on. Default: random ids.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per step. Default: 16 on a GPU, 12 elsewhere.")
    ] = None,
    seq_len: Annotated[
        int | None, typer.Option(min=1, help="Tokens per sample. Default: 1,024 on a GPU, 256 elsewhere.")
    ] = None,
    device: Annotated[str, typer.Option(help="Device: cuda, mps, cpu or auto.")] = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write an HTML page with the plot.", callback=on_disk)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how much each of five changes speeds up training on this machine.

    The changes are TF32, a 16-bit format, torch.compile, fused attention and a padded vocabulary.

    The first rung is plain fp32. Each further rung changes one thing in the fastest rung so far, and trains the same
    weights on the same tokens for ten steps. Equal losses show that only the speed changed. If this machine cannot run
    a rung, a sentence explains why.

    Example: bytemill ladder --data shards -o ladder.html
    """
    require("torch")
    if data is not None:
        from bytemill.tasks.inputs import shards_at

        shards_at(str(data), setting="--data")
    from bytemill.experiment.ladder import climb, ladder_size

    size = ladder_size(model, batch_size=batch_size, seq_len=seq_len, data=data, device=device)
    say(size.described())
    if not as_json:
        put(_line("rung", *_COLUMNS))
    found = climb(size, device=device, shown=lambda one: None if as_json else put(_measured(one)))
    if as_json:
        put(json_text(found.as_json()))
    else:
        put(f"measured on: {found.place_and_date}")
    if output is not None:
        from bytemill.report.ladder import ladder_page
        from bytemill.report.page import write_page
        from bytemill.report.provenance import provenance
        from bytemill.train.machine.facts import command_line

        output.parent.mkdir(parents=True, exist_ok=True)
        measured_on = f"{found.place_and_date} · GPT-2 with {found.size.described()}"
        page = ladder_page(found, provenance=f"{measured_on} · {provenance(command=command_line())}")
        say(str(write_page(page, output)))


_COLUMNS = ("ms per step", "tokens/s", "x first", "x before", "loss", "a 3090, reported")


def _measured(one: "Measurement") -> str:
    if one.left_out is not None:
        return f"{one.name:<18}{one.left_out}"
    figures = (one.ms_per_step, one.tokens_per_s, one.factor_first, one.factor_before, one.loss)
    forms = ("{:,.1f}", "{:,.0f}", "{:.2f}", "{:.2f}", "{:.4f}")
    cells = ["–" if figure is None else form.format(figure) for form, figure in zip(forms, figures, strict=True)]
    return _line(one.name, *cells, f"{one.rung.reported_tokens_per_s:,}")


def _line(name: str, *cells: str) -> str:
    widths = (11, 10, 9, 10, 9, 18)
    return f"{name:<18}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
