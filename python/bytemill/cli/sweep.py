"""`bytemill sweep`: many runs, one comparison."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import put, say
from bytemill.cli.train import MoreSettings, Settings
from bytemill.cli.written import on_disk

if TYPE_CHECKING:
    from bytemill.experiment.sweep import Ended
    from bytemill.experiment.sweep_plan import PlannedRun


def sweep(
    config: Annotated[Path, typer.Option("--config", "-c", help="A base, and a grid or a list of runs, in TOML.")],
    settings: Settings = None,
    more_settings: MoreSettings = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The sweep's folder. Default: runs/ and the file's name.", callback=on_disk
        ),
    ] = None,
    parallel: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time. Default: one for each GPU, at least one.")
    ] = None,
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Name the runs, and start none.")] = False,
) -> None:
    """Do the runs of a grid or a list one after the other, unattended; call it again to go on.

    Prints a table in Markdown; report.html in the folder has curves and samples, also while runs are going on.

    Example: bytemill sweep -c examples/configs/sweep_rank.toml --set base=runs/first data.path=alpaca.json
    """
    from bytemill.experiment.sweep_plan import read_sweep

    planned = read_sweep(config, [*(settings or []), *(more_settings or [])])
    if is_dry_run:
        for run in planned:
            print(run.name)
        return
    from bytemill.experiment.sweep import run_sweep
    from bytemill.experiment.sweep_results import sweep_results
    from bytemill.report.page import write_page
    from bytemill.report.sweep import sweep_markdown, sweep_page

    folder = output or Path("runs") / config.stem
    numbers = {run.name: number for number, run in enumerate(planned, start=1)}

    def shown(run: "PlannedRun", ended: "Ended | None") -> None:
        if ended is None:
            say(f"{numbers[run.name]} of {len(planned)}: {run.name}")
            return
        if ended.exit_code:
            say(f"{run.name} failed: {ended.error}")
        write_page(sweep_page(config.stem, sweep_results(planned, folder), each_run=False), folder / "report.html")

    ended = run_sweep(planned, folder, parallel=parallel, shown=shown)
    results = sweep_results(planned, folder)
    write_page(sweep_page(config.stem, results), folder / "report.html")
    put(sweep_markdown(results), end="")
    say(f"{folder / 'report.html'}")
    if any(one.exit_code for one in ended):
        raise typer.Exit(1)
