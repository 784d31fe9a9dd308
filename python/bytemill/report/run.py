"""The report page of one training run or of several runs, read from their folders."""

import math
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from bytemill.errors import ArgumentError, DataError
from bytemill.experiment.demo.results import Metrics
from bytemill.json_reader import parse_object, read_lines
from bytemill.outside_text import one_line
from bytemill.report.figures import count, decimal, percent, short_count
from bytemill.report.metrics_plots import AXES, Axis, series
from bytemill.report.page import Block, Code, Details, Figure, KeyFigures, Page, Prose, Section
from bytemill.report.preference import preference_plots
from bytemill.report.run_curves import curves_of, ends_of
from bytemill.report.run_samples import samples_of
from bytemill.report.run_settings import changes_table, environment_blocks, settings_blocks

__all__ = ["run_page"]

_LARGEST = 2**64 - 1


Folder = str | os.PathLike[str]


def run_page(
    run_dirs: Mapping[str, Folder] | Sequence[Folder] | Folder, *, is_private: bool = False, x: str = "steps"
) -> Page:
    """Return a page of one or more runs' folders; a mapping gives the displayed name of each.

    A folder must contain metrics.jsonl; config.toml, changes.jsonl, environment.json and samples.jsonl are shown
    if they exist. With `is_private`, the machine, its software and the command line are left out. `x` is the x axis of
    the curves: "steps", "tokens" or "epochs".

    Raises:
        ArgumentError: `x` is none of these.
        DataError: A folder has no metrics.jsonl, or a line of it has another form.
    """
    named = _named(run_dirs)
    if not named:
        raise DataError("no run was given; give at least one folder that contains metrics.jsonl")
    runs = {name: _read_jsonl(folder / "metrics.jsonl", "step", int | float) for name, folder in named.items()}
    axis = _axis(x, runs)
    names = list(runs)
    samples = {
        name: _read_jsonl(folder / "samples.jsonl", "text", str)
        for name, folder in named.items()
        if (folder / "samples.jsonl").is_file()
    }
    sections = [Section("Curves", (ends_of(runs), *preference_plots(runs, axis), *curves_of(runs, axis)))]
    if any(samples.values()):
        sections.append(Section("Samples", tuple(samples_of(samples))))
    sections.append(Section("Settings", tuple(_settings(named))))
    environment = [] if is_private else environment_blocks(named)
    if environment:
        sections.append(Section("Environment", tuple(environment)))
    return Page(
        title=names[0] if len(names) == 1 else f"Comparison of {len(names)} runs",
        kicker="bytemill report",
        lead=_lead(runs),
        summary=tuple(_key_figures(runs)),
        sections=tuple(sections),
        footer="Written by bytemill. This page is one file: it loads nothing, and you can send it as it is.",
    )


def _named(run_dirs: Mapping[str, Folder] | Sequence[Folder] | Folder) -> dict[str, Path]:
    if isinstance(run_dirs, Mapping):
        return {name: Path(folder) for name, folder in run_dirs.items()}
    folders = [Path(run_dirs)] if isinstance(run_dirs, str | os.PathLike) else [Path(folder) for folder in run_dirs]
    return {_name(folder, folders): folder for folder in folders}


def _axis(x: str, runs: Mapping[str, Metrics]) -> Axis:
    """Return the x axis of the curves; each run must have logged it."""
    if x not in AXES:
        raise ArgumentError(f"x is {x!r}, expected one of {', '.join(AXES)}")
    axis = AXES[x]
    for name, metrics in runs.items():
        if not any(axis.key in row for row in metrics) and any(row["step"] for row in metrics):
            raise DataError(f"{name}: its metrics.jsonl has no {axis.key}, which --x {x} needs; use --x steps")
    return axis


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """Return the folder's name, or its path if another run has the same name."""
    name = folder.resolve().name
    return name if [other.resolve().name for other in folders].count(name) == 1 else str(folder)


def _lead(runs: Mapping[str, Metrics]) -> str:
    steps = [int(max((row["step"] for row in metrics), default=0)) for metrics in runs.values()]
    if min(steps) == max(steps):
        return f"Trained for {count(steps[0])} step{'' if steps[0] == 1 else 's'}."
    return f"Between {count(min(steps))} and {count(max(steps))} steps of training."


def _key_figures(runs: Mapping[str, Metrics]) -> list[Block]:
    """Return the key figures: lowest loss, tokens seen and speed; for several runs, the best of each."""
    figures = []
    for key, label in (("val_loss", "lowest validation loss"), ("loss", "lowest training loss")):
        lows = {name: min(filter(math.isfinite, series(run, key)[1]), default=math.inf) for name, run in runs.items()}
        best = min(lows, key=lambda name: lows[name])
        if math.isfinite(lows[best]):
            figures.append(Figure(decimal(lows[best], 3), label, f"run {best}" if len(runs) > 1 else "nats per token"))
            break
    tokens = {name: max(series(run, "tokens")[1], default=0) for name, run in runs.items()}
    if most := max(tokens.values()):
        figures.append(Figure(short_count(most), "tokens seen", "by the longest run" if len(runs) > 1 else ""))
    for key, label, form in (("tokens_per_s", "tokens per second", count), ("mfu", "of the hardware's peak", percent)):
        middles = [statistics.median(values) for run in runs.values() if (values := series(run, key)[1])]
        if middles:
            note = "median of the fastest run" if len(runs) > 1 else "median over the steps"
            figures.append(Figure(form(max(middles)), label, note))
    return [KeyFigures(tuple(figures))] if figures else []


def _settings(folders: Mapping[str, Path]) -> list[Block]:
    """Return the differing settings, then all settings of each run, closed by default."""
    blocks = settings_blocks(folders)
    for name, folder in folders.items():
        changes = changes_table(folder)
        blocks += [changes] if changes else []
        if (folder / "config.toml").is_file():
            text = (folder / "config.toml").read_text(encoding="utf-8", errors="replace")
            blocks.append(Details(f"All settings of {name}", (Code(text.strip()),)))
    return blocks or [Prose("There are no settings: no run's folder contains config.toml.")]


def _read_jsonl(path: Path, key: str, kind: type | UnionType) -> list[dict[str, Any]]:
    """Read one object per line; an incomplete last line, from a run that is being written, is left out."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; expected the folder of a run, which contains metrics.jsonl")
    rows = []
    for number, line in read_lines(path, error=DataError):
        row = parse_object(line, f"{path}, line {number}", error=DataError)
        if not isinstance(row.get(key), kind):
            raise DataError(f'{path}, line {number}: expected a JSON object with "{key}", got {line[:80]!r}')
        too_large = [name for name, value in row.items() if isinstance(value, int) and abs(value) > _LARGEST]
        step = row.get("step", 0)
        if too_large or not (isinstance(step, int | float) and abs(step) <= _LARGEST):
            name = one_line((too_large or ["step"])[0])
            raise DataError(f"{path}, line {number}: {name} is not a number that fits in 64 bits")
        rows.append(row)
    return rows
