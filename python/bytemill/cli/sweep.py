"""`bytemill sweep`: train many runs and compare them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bytemill.cli.console import say
from bytemill.cli.output_paths import on_disk
from bytemill.cli.run_options import MoreSettings, Settings
from bytemill.cli.tables import put_tables
from bytemill.extras import require

if TYPE_CHECKING:
    from bytemill.experiment.sweep.plan import PlannedRun
    from bytemill.experiment.sweep.run import Ended


def sweep(
    config: Annotated[
        Path,
        typer.Option(
            "--config",
            "-c",
            help="TOML file: the settings that all runs share, and a grid or a list of those that differ.",
        ),
    ],
    settings: Settings = None,
    more_settings: MoreSettings = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the sweep. Default: runs/ plus the name of the config file.",
            callback=on_disk,
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, help="Number of runs that train at the same time. Default: one per GPU, at least one."),
    ] = None,
    is_dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the names of the runs without starting them.")
    ] = False,
) -> None:
    """Train all runs that a file describes, one after another or in parallel, and compare them in a table.

    report.html in the folder of the sweep shows curves and samples, also while runs are still training. After an
    interruption, run the same command again: finished runs are kept.

    Example: bytemill sweep -c examples/configs/sweep_rank.toml --set base=runs/first data.path=alpaca.json
    """
    require("torch")
    from bytemill.experiment.sweep.plan import read_sweep

    planned = read_sweep(config, [*(settings or []), *(more_settings or [])])
    if is_dry_run:
        for run in planned:
            print(run.name)
        return
    from bytemill.experiment.sweep.results import sweep_results
    from bytemill.experiment.sweep.run import run_sweep
    from bytemill.report.page import write_page
    from bytemill.report.provenance import provenance_here
    from bytemill.report.sweep import sweep_markdown, sweep_page

    folder = output or Path("runs") / config.stem
    numbers = {run.name: number for number, run in enumerate(planned, start=1)}

    def shown(run: "PlannedRun", ended: "Ended | None") -> None:
        if ended is None:
            say(f"{numbers[run.name]} of {len(planned)}: {run.name}")
            return
        if ended.exit_code:
            say(f"{run.name} failed: {ended.error}")
        found = sweep_page(sweep_results(planned, folder), each_run=False, provenance=provenance_here())
        write_page(found, folder / "report.html")

    ended = run_sweep(planned, folder, parallel=parallel, shown=shown)
    results = sweep_results(planned, folder)
    write_page(sweep_page(results, provenance=provenance_here()), folder / "report.html")
    put_tables(sweep_markdown(results))
    say(f"{folder / 'report.html'}")
    if any(one.exit_code for one in ended):
        raise typer.Exit(1)
