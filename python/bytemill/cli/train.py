"""`bytemill train`: pretraining from a configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bytemill.cli.console import is_first_process, say
from bytemill.cli.written import RunFolder
from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="A.B=C", help="Change settings, such as train.max_steps=100; separate several by spaces."
    ),
]
MoreSettings = Annotated[list[str] | None, typer.Argument(metavar="[A.B=C]...", help="More settings for --set.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with settings.")]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Print all settings as commented TOML for --config, then exit.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue from the run's newest valid checkpoint.")]


def train(
    config: ConfigFile = None,
    settings: Settings = None,
    more_settings: MoreSettings = None,
    output: RunFolder = Path("runs/pretrain"),
    resume: Resume = False,
    is_dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Run a few steps, print the time and memory that the run would take, and write nothing."
        ),
    ] = False,
    profiles: Annotated[
        bool, typer.Option("--profile", help="Profile three steps and write the trace to the run's profile/ folder.")
    ] = False,
    prints_config: PrintConfig = False,
) -> None:
    """Pretrain a GPT-2 on token shards.

    Ctrl-C and SIGTERM stop the run cleanly, with a checkpoint. --resume continues as if the run had not stopped; --set
    can change settings.

    Example: bytemill train --set data.path=shards data.tokenizer=tokenizer.json model.name=gpt2 -o runs/first
    """
    changes = [*(settings or []), *(more_settings or []), *(["train.profile_steps=3"] if profiles else [])]
    resolved = resolve(config, changes, output if resume else None, prints=prints_config)
    from bytemill.experiment.batch_size import find_batch_size
    from bytemill.tasks.pretrain import pretrain_task_from_config
    from bytemill.train.loop import fit

    if resolved.task != "pretrain":
        raise ConfigError(f"task is {resolved.task!r}: use `bytemill finetune {resolved.task}`")
    if resolved.train.find_batch_size:
        resolved = find_batch_size(resolved, lambda tried: pretrain_task_from_config(tried)[0], say=say)
        say(f"data.batch_size is {resolved.data.batch_size}")
    task, resolved = pretrain_task_from_config(resolved)
    if is_dry_run:
        _print_dry_run(task, resolved)
        return
    outcome = fit(task, resolved, output, resume=resume)
    finish(output, outcome.steps, outcome.metrics)


def _print_dry_run(task: "Task", config: "RunConfig") -> None:
    from bytemill.experiment.dry_run import dry_run
    from bytemill.report.figures import duration, size

    found = dry_run(task, config)
    share = f" ({found.n_trainable:,} of them train)" if found.n_trainable != found.n_parameters else ""
    print(f"parameters: {found.n_parameters:,}{share}")
    print(f"tokens: {found.tokens_per_step:,} a step, {found.total_tokens:,} in {found.max_steps:,} steps")
    print(f"memory: {size(found.trial.memory_mib * 2**20)} at most")
    print(f"checkpoint: {size(found.checkpoint_bytes)}")
    print(f"speed: {found.trial.seconds_per_step:.3g} s a step, {found.trial.tokens_per_second:,.0f} tokens/s")
    print(f"time: {duration(found.seconds)}, without validation and samples")
    print(f"loss: {found.trial.losses[0]:.4f} at the first step")


def resolve(config: Path | None, settings: list[str], resumed_run: Path | None, *, prints: bool = False) -> "RunConfig":
    """The settings of a run: of a file, or of the run that is resumed, changed by `settings`.

    With `prints` they go to stdout with their documentation, as TOML that --config reads, and the command ends.
    """
    from bytemill.train.config import former_settings, load_config, read_toml
    from bytemill.train.config_text import documented_toml

    if resumed_run is not None:
        saved = resumed_run / "config.toml"
        if saved.exists():
            settings = [*former_settings(read_toml(saved)), *settings]
        elif config is None:
            raise ConfigError(f"{resumed_run}: contains no run to resume; remove --resume to start a new run")
        config = config or saved
    resolved = load_config(config, settings)
    if prints:
        print(documented_toml(resolved), end="")
        raise typer.Exit
    return resolved


def as_settings(given: "Mapping[str, Any]") -> list[str]:
    """Options that were given, as settings of the form A.B=C; a text stays one, even if it is spelled like a number."""
    from bytemill.train.toml import toml_literal

    texts = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    return [f"{name}={toml_literal(value)}" for name, value in texts.items() if value is not None]


def finish(run: Path, steps: int, metrics: dict[str, float]) -> None:
    """Say how a run ended; its folder goes to stdout."""
    figures = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("loss", "val_loss") if name in metrics)
    counted = "1 step" if steps == 1 else f"{steps} steps"
    say(f"{counted} done: {figures}" if figures else f"{counted} done already")
    if is_first_process():
        print(run)
