"""`bytemill ladder`: what each way of being faster brings on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import json_text, say
from bytemill.cli.written import on_disk

if TYPE_CHECKING:
    from bytemill.experiment.ladder import LadderSize, Measurement

_COLUMNS = f"{'rung':<20}{'tokens/s':>12}{'faster':>9}{'loss, step 10':>15}{'MiB':>9}{'a 3090, reported':>19}"


def ladder(
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="gpt2, gpt2-medium, … Default: gpt2 on a GPU, smaller elsewhere."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Samples a step.")] = None,
    seq_len: Annotated[int | None, typer.Option(min=1, help="Tokens of a sample.")] = None,
    device: Annotated[str, typer.Option(help="cuda, mps, cpu, or auto.")] = "auto",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write a page with the plot.", callback=on_disk)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure fp32, TF32, bf16, torch.compile, flash attention and a padded vocabulary, one added to the other.

    Each rung trains the same weights on the same tokens for ten steps; the loss shows that nothing is lost.

    Example: bytemill ladder -o ladder.html
    """
    from bytemill.experiment.ladder import climb

    size = _size(model, batch_size, seq_len, device)
    shape = size.model
    say(
        f"{shape.n_layer} layers, {shape.n_head} heads, width {shape.n_embd}, vocabulary {shape.vocab_size:,}; "
        f"{size.batch_size} x {size.seq_len} tokens a step"
    )
    first: list[Measurement] = []

    def shown(measurement: "Measurement") -> None:
        first.append(measurement)
        if not as_json:
            print(_line(measurement, first[0]), flush=True)

    if not as_json:
        print(_COLUMNS)
    measurements = climb(size, device=device, shown=shown)
    if as_json:
        print(json_text([measurement.as_json() for measurement in measurements]))
    if output is not None:
        from bytemill.report.ladder import ladder_page
        from bytemill.report.page import write_page

        say(str(write_page(ladder_page(size, measurements), output)))


def _size(model: str | None, batch_size: int | None, seq_len: int | None, device: str) -> "LadderSize":
    """What was asked for; the rest so that a GPU, or a CPU, takes a minute or some."""
    from bytemill.experiment.ladder import LadderSize
    from bytemill.model import GPT2Config
    from bytemill.train.device import pick_device

    on_gpu = pick_device(device).type != "cpu"
    name = model or ("gpt2" if on_gpu else None)
    seq_len = seq_len or (1_024 if on_gpu else 256)
    if name is None:
        shape = GPT2Config(n_layer=6, n_head=6, n_embd=384, n_positions=seq_len)
    else:
        shape = GPT2Config.named(name, n_positions=max(seq_len, 1_024))  # type: ignore[arg-type]
    return LadderSize(shape, batch_size or (16 if on_gpu else 12), seq_len)


def _line(measurement: "Measurement", first: "Measurement") -> str:
    rung, reported = measurement.rung, f"{measurement.rung.reported_tokens_per_s:,}"
    if measurement.tokens_per_s is None or measurement.memory_mib is None:
        return f"{rung.name:<20}{measurement.left_out}"
    gain = f"{measurement.tokens_per_s / first.tokens_per_s:.2f}x" if first.tokens_per_s else ""
    figures = f"{measurement.tokens_per_s:>12,.0f}{gain:>9}{measurement.loss:>15.4f}{measurement.memory_mib:>9,.0f}"
    return f"{rung.name:<20}{figures}{reported:>19}"
