"""Train, and the end of a training command: what was reached, and how an interrupted run is continued."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.cli.console import is_first_process, say
from bytemill.cli.run_options import RunOptions
from bytemill.errors import Interrupted

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig
    from bytemill.train.loop import Outcome
    from bytemill.train.task import Task

__all__ = ["finish", "fit_in"]


def fit_in(options: RunOptions, task: "Task", config: "RunConfig") -> "Outcome":
    """Train in the folder of `options`; if the run ends before its last step, print how to continue."""
    from bytemill.train.loop import fit

    with _naming_how_to_continue(config, options.output):
        outcome = fit(task, config, options.output, resume=options.resume)
    if not outcome.is_complete:
        say(f"Continue: {_resuming(config, options.output)}")
    return outcome


def finish(options: RunOptions, outcome: "Outcome") -> None:
    """Print how a run ended to stderr, and its folder to stdout."""
    metrics = outcome.metrics
    figures = ", ".join(f"{name} {metrics[name]:.4f}" for name in ("loss", "val_loss") if name in metrics)
    counted = "1 step" if outcome.steps == 1 else f"{outcome.steps} steps"
    say(f"{counted} done: {figures}" if figures else f"{counted} done already")
    if is_first_process():
        print(options.output)


@contextmanager
def _naming_how_to_continue(config: "RunConfig", output: Path) -> Iterator[None]:
    try:
        yield
    except Interrupted as interruption:
        said = f"{interruption}. Continue: {_resuming(config, output)}"
        raise Interrupted(said, exit_code=interruption.exit_code) from None


def _resuming(config: "RunConfig", output: Path) -> str:
    command = ["train"] if config.task == "pretrain" else ["finetune", config.task]
    return shlex.join(["bytemill", *command, "-o", str(output), "--resume"])
