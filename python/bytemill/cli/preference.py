"""`bytemill finetune preference`: a tuned model learns which of two answers people like better."""

from pathlib import Path
from typing import Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.tested import test_after
from bytemill.cli.train import ConfigFile, MoreSettings, PrintConfig, Resume, Settings, as_settings, finish, resolve
from bytemill.cli.written import RunFolder


def preference(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    model: Annotated[str | None, typer.Option(help="A run, a checkpoint, Hugging Face weights, or a hub id.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Rows with chosen and rejected answers, in any format that `finetune instruct` reads."),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option("--tokenizer", "-t", help="Tokenizer file or folder. Default: the model's own.")
    ] = None,
    lora_rank: Annotated[
        int | None, typer.Option(help="Rank of the LoRA adapters; 0 trains all parameters. Default: 8.")
    ] = None,
    beta: Annotated[
        float | None, typer.Option(help="Penalty for moving away from the base; higher stays closer. Default: 0.1.")
    ] = None,
    output: RunFolder = Path("runs/preference"),
    resume: Resume = False,
    prints_config: PrintConfig = False,
) -> None:
    """Tune a model on pairs of answers, one preferred and one rejected (DPO).

    The default is one epoch at a learning rate of 5e-6; change it with --config or --set.

    Example: bytemill finetune preference --model runs/tuned --data preferences.json -t tokenizer.json
    """
    given = {
        "base": model,
        "data.path": data,
        "data.tokenizer": tokenizer,
        "lora.r": lora_rank,
        "preference.beta": beta,
    }
    changes = [*as_settings(given), "task=preference", *(settings or []), *(more_settings or [])]
    resolved = resolve(config, changes, output if resume else None, prints=prints_config)
    from bytemill.tasks.preference import preference_task_from_config
    from bytemill.train.loop import fit

    task, resolved, reports = preference_task_from_config(resolved)
    for report in reports:
        say(report)
    outcome = fit(task, resolved, output, resume=resume)
    test_after(task, resolved, output)
    finish(output, outcome.steps, outcome.metrics)
