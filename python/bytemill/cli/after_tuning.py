"""Tune a model from its prepared task to its test: report on the rows, train, measure `data.test` once."""

from pathlib import Path
from typing import TYPE_CHECKING

from bytemill.cli.console import is_first_process, json_text, measuring, say
from bytemill.cli.run_end import finish, fit_in
from bytemill.cli.run_options import TuningOptions
from bytemill.files import write_text

if TYPE_CHECKING:
    from bytemill.tasks.prepared import Prepared
    from bytemill.train.config import RunConfig
    from bytemill.train.task import Task

__all__ = ["tune"]


def tune(options: TuningOptions, prepared: "Prepared") -> None:
    """Report on the rows, train in the folder of `options`, and measure the test rows after the last step."""
    task, config, reports = prepared
    for report in reports:
        say(report)
    outcome = fit_in(options, task, config)
    if outcome.is_complete:
        _test(task, config, options.output)
    finish(options, outcome)


def _test(task: "Task", config: "RunConfig", output: Path) -> None:
    """Measure the test rows, if the task has any; write the figures to the run's test.json and print them."""
    import torch

    from bytemill.train.machine.device import autocast

    model = task.model.eval()
    device = next(model.parameters()).device
    with measuring("testing"), torch.no_grad(), autocast(device, config.train.precision):
        figures = dict(task.test())
    if figures and is_first_process():
        write_text(output / "test.json", json_text(figures, indent=2) + "\n")
        say("test: " + ", ".join(f"{name.removeprefix('test_')} {value:.4f}" for name, value in figures.items()))
