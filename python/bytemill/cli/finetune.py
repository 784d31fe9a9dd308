"""`bytemill finetune`: a pretrained model learns to answer."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.preference import preference
from bytemill.cli.train import ConfigFile, MoreSettings, Resume, Settings, finish, resolve

app = typer.Typer(help="Fine-tune a model.", no_args_is_help=True)
app.command()(preference)


@app.callback()
def _group() -> None:
    """Fine-tune a model."""


@app.command()
def instruct(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Annotated[str | None, typer.Option(help="A run, a checkpoint, or weights in Hugging Face's form.")] = None,
    data: Annotated[Path | None, typer.Option(help="Rows in Alpaca's form, .json or .jsonl.")] = None,
    tokenizer: Annotated[Path | None, typer.Option("--tokenizer", "-t", help="The model's tokenizer.")] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Rank of the adapters; 0 trains all parameters. Default 8.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The run's folder.")] = Path("runs/instruct"),
    resume: Resume = False,
) -> None:
    """Tune a model on instructions and answers; only the answers are trained.

    Example: bytemill finetune instruct --model runs/first --data alpaca.json -t tokenizer.json --lora-rank 16
    """
    given = {"base": model, "data.path": data, "data.tokenizer": tokenizer, "lora.r": lora_rank}
    if lora_rank is None and config is None and not resume:
        given["lora.r"] = 8
    named = [f"{name}={value}" for name, value in given.items() if value is not None]
    changes = [*named, "task=instruct", *(settings or []), *(more_settings or [])]
    resolved = resolve(config, changes, output if resume else None)
    from bytemill.tasks.instruct import instruct_task_from_config
    from bytemill.train.loop import fit

    task, resolved, reports = instruct_task_from_config(resolved)
    for report in reports:
        say(report)
    outcome = fit(task, resolved, output, resume=resume)
    finish(output, outcome.steps, outcome.metrics)
