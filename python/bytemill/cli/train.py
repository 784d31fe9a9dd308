"""`bytemill train`: pretrain a model from a configuration."""

from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.run_end import finish, fit_in
from bytemill.cli.run_options import PretrainingOptions, takes_options
from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task


@takes_options(PretrainingOptions, task="pretrain", output="runs/pretrain")
def train(
    options: PretrainingOptions,
    *,
    is_dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Train on one micro-batch, print how much time and memory the run would take, and write nothing.",
        ),
    ] = False,
    profiles: Annotated[
        bool,
        typer.Option(
            "--profile", help="Profile three steps, and write the trace to the folder profile/ in the run's folder."
        ),
    ] = False,
) -> None:
    """Pretrain a GPT-2 on token shards.

    Ctrl-C saves a checkpoint and prints the command that continues the run. The usual settings have options; --set
    changes any other setting, and --print-config lists all settings.

    Example: bytemill train --data shards --layers 4 --heads 4 --width 128 --steps 500 -o runs/first
    """
    resolved = options.resolved(None, *(["train.profile_steps=3"] if profiles else []), writes=not is_dry_run)
    from bytemill.experiment.batch_size import find_batch_size
    from bytemill.tasks.pretrain import pretrain_task_from_config

    if resolved.task != "pretrain":
        raise ConfigError(f"task is {resolved.task!r}: use `bytemill finetune {resolved.task}`")
    if resolved.train.find_batch_size:
        resolved = find_batch_size(resolved, lambda tried: pretrain_task_from_config(tried).task, say=say)
        say(f"data.batch_size is {resolved.data.batch_size}")
    task, resolved, _ = pretrain_task_from_config(resolved)
    if is_dry_run:
        _print_dry_run(task, resolved)
        return
    finish(options, fit_in(options, task, resolved))


def _print_dry_run(task: "Task", config: "RunConfig") -> None:
    from bytemill.experiment.dry_run import dry_run
    from bytemill.report.figures import duration, size

    found = dry_run(task, config)
    share = f" ({found.n_trainable:,} of them train)" if found.n_trainable != found.n_parameters else ""
    print(f"parameters: {found.n_parameters:,}{share}")
    print(f"tokens: {found.tokens_per_step:,} per step, {found.total_tokens:,} in {found.max_steps:,} steps")
    print(f"memory: {size(found.trial.memory_mib * 2**20)} at most")
    print(f"checkpoint: {size(found.checkpoint_bytes)}")
    print(f"speed: {found.seconds_per_step:.3g} s per step, {found.trial.tokens_per_second:,.0f} tokens/s")
    print(f"time: {duration(found.seconds)}, without validation and samples")
    print(f"loss: {found.trial.losses[0]:.4f} before training")
