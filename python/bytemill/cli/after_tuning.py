"""Measure the rows of `data.test` once after tuning; write test.json and print to stderr."""

from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.cli.console import is_first_process, json_text, say
from bytemill.files import write_text

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = ["test_after"]


def test_after(task: "Task", config: "RunConfig", output: Path) -> None:
    """Measure the test rows, if the task has any; write the figures to the run's test.json and print them."""
    import torch

    from bytemill.train.machine.device import autocast

    task.model.eval()
    with torch.no_grad(), autocast(next(task.model.parameters()).device, config.train.precision):
        figures = dict(task.test())
    if figures and is_first_process():
        write_text(output / "test.json", json_text(figures, indent=2) + "\n")
        say("test: " + ", ".join(f"{name.removeprefix('test_')} {value:.4f}" for name, value in figures.items()))
