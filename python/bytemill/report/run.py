"""The report page of one training run or of several runs, read from their folders.

Runs of different tasks get a chapter each, because their losses have different units and cannot be compared.
"""

from collections.abc import Mapping, Sequence

from bytemill.errors import ArgumentError, DataError
from bytemill.report.blocks import Block, Code, Details, Prose
from bytemill.report.metrics_plots import AXES, Axis
from bytemill.report.page import Page, Section, joined
from bytemill.report.provenance import provenance
from bytemill.report.run_curves import curves_of
from bytemill.report.run_data import TASKS, Folder, RunData, read_runs
from bytemill.report.run_results import results_of
from bytemill.report.run_samples import first_and_last, samples_of
from bytemill.report.run_settings import changes_table, environment_blocks, settings_blocks, shown_command

__all__ = ["run_page"]


def run_page(
    run_dirs: Mapping[str, Folder] | Sequence[Folder] | Folder, *, is_private: bool = False, x: str = "steps"
) -> Page:
    """Return a page of one or more runs' folders; a mapping gives the displayed name of each.

    A folder must contain metrics.jsonl; the other files of a run's folder are shown if they exist. With `is_private`,
    the machine, its software and the command line are left out. `x` is the x axis of the curves: "steps", "tokens" or
    "epochs".

    Raises:
        ArgumentError: `x` is none of these.
        DataError: A folder has no metrics.jsonl, or a line of it has another form.
    """
    runs = read_runs(run_dirs)
    axis = _axis(x, runs)
    by_task: dict[str, list[RunData]] = {}
    for run in runs:
        by_task.setdefault(run.task, []).append(run)
    pages = tuple(_task_page(task, of_task, axis, is_private=is_private) for task, of_task in by_task.items())
    return pages[0] if len(pages) == 1 else joined(f"{len(runs)} runs of {len(pages)} tasks", pages)


def _task_page(task: str, runs: Sequence[RunData], axis: Axis, *, is_private: bool) -> Page:
    """Return the page of runs of one task."""
    found = results_of(task, runs)
    pair = first_and_last(runs[0].samples) if len(runs) == 1 else None
    samples = samples_of({run.name: run.samples for run in runs if run.samples})
    folders = {run.name: run.folder for run in runs}
    environment = [] if is_private else environment_blocks(folders)
    parts: dict[str, Sequence[Block]] = {
        "Results": found.blocks,
        "Curves": curves_of(task, runs, axis),
        "Samples": samples,
        "Settings": _settings(runs),
        "Environment": environment,
    }
    return Page(
        _title(task, runs),
        found.verdict,
        tuple(
            Section(title, tuple(blocks), is_about_machine=title == "Environment")
            for title, blocks in parts.items()
            if blocks
        ),
        kicker="bytemill report",
        summary=(*([pair] if pair else []), *found.summary),
        provenance=_provenance(runs, is_private=is_private),
    )


def _title(task: str, runs: Sequence[RunData]) -> str:
    kind = TASKS[task]
    if len(runs) == 1:
        return f"{kind.capitalize()}: {runs[0].name}"
    names = ", ".join(run.name for run in runs)
    return f"Comparison of {len(runs)} runs, {kind}" + (f": {names}" if len(runs) < 4 else "")


def _provenance(runs: Sequence[RunData], *, is_private: bool) -> str:
    """Return the line of one run, or what several runs share."""
    lines = [_line(run, is_private=is_private) for run in runs]
    if len(lines) == 1:
        return lines[0]
    machines = {provenance(machine=run.environment.get("machine"), is_private=is_private) for run in runs}
    seconds = [run.seconds for run in runs if run.seconds is not None]
    dates = sorted({str(run.environment.get("date", ""))[:10] for run in runs} - {""})
    machine = run_machine if len(machines) == 1 and (run_machine := runs[0].environment.get("machine")) else None
    return provenance(
        date=dates[-1] if dates else "",
        machine=machine if isinstance(machine, Mapping) else None,
        data=_data(runs[0]) if len({_data(run) for run in runs}) == 1 else "",
        seconds=sum(seconds) if len(seconds) == len(runs) else None,
        is_private=is_private,
    )


def _line(run: RunData, *, is_private: bool) -> str:
    environment = run.environment
    machine, parameters = environment.get("machine"), environment.get("parameters")
    n_parameters = parameters.get("all") if isinstance(parameters, Mapping) else None
    return provenance(
        date=str(environment.get("date", "")),
        command=shown_command(environment),
        model=_model(run),
        n_parameters=n_parameters if isinstance(n_parameters, int) else None,
        data=_data(run),
        machine=machine if isinstance(machine, Mapping) else None,
        seconds=run.seconds,
        is_private=is_private,
    )


def _model(run: RunData) -> str:
    base, model = run.settings.get("base"), run.settings.get("model")
    if isinstance(base, str) and base:
        return f"from {base}"
    shape = model if isinstance(model, Mapping) else {}
    if shape.get("name"):
        return str(shape["name"])
    layers, width = shape.get("n_layer"), shape.get("n_embd")
    return f"{layers} layers of width {width}" if layers and width else ""


def _data(run: RunData) -> str:
    data = run.settings.get("data")
    path = data.get("path") if isinstance(data, Mapping) else None
    return path if isinstance(path, str) else ""


def _axis(x: str, runs: Sequence[RunData]) -> Axis:
    """Return the x axis of the curves; each run must have logged it."""
    if x not in AXES:
        raise ArgumentError(f"x is {x!r}, expected one of {', '.join(AXES)}")
    axis = AXES[x]
    for run in runs:
        if not any(axis.key in row for row in run.metrics) and any(row["step"] for row in run.metrics):
            raise DataError(f"{run.name}: its metrics.jsonl has no {axis.key}, which --x {x} needs; use --x steps")
    return axis


def _settings(runs: Sequence[RunData]) -> list[Block]:
    """Return the differing settings, then all settings of each run, closed by default."""
    blocks = settings_blocks({run.name: run.folder for run in runs})
    for run in runs:
        changes = changes_table(run.folder)
        blocks += [changes] if changes else []
        if (run.folder / "config.toml").is_file():
            text = (run.folder / "config.toml").read_text(encoding="utf-8", errors="replace")
            blocks.append(Details(f"All settings of {run.name}", (Code(text.strip()),)))
    return blocks or [Prose("There are no settings: no run's folder contains config.toml.")]
