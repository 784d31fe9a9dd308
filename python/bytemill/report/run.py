"""The page of one training run, or of several laid over each other, read from their folders."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

from bytemill.errors import DataError
from bytemill.experiment.demo_results import MetricsRow
from bytemill.report.figures import count, decimal
from bytemill.report.metrics_plots import overlaid_plot, series
from bytemill.report.page import Block, Code, Comparison, Details, Page, Prose, Section, Table
from bytemill.report.preference import IN_PREFERENCE_RUNS, is_preference_run, preference_plots

__all__ = ["run_page"]

# (key in metrics.jsonl, title, unit, what a newcomer sees)
_CURVES = (
    (
        "val_loss",
        "Validation loss",
        "nats a token",
        "The loss on text kept aside. Lower is better; when it rises, the model learns by heart.",
    ),
    ("loss", "Training loss", "nats a token", "The loss on the text being learned, step by step."),
    ("val_accuracy", "Accuracy", "share that is right", "How many of the rows kept aside got the right answer."),
    ("lr", "Learning rate", "size of a step", "How far each step turns the weights."),
    (
        "grad_norm",
        "Size of the gradient",
        "norm, before clipping",
        "How strongly each batch pulls at the weights.",
    ),
    ("tokens_per_s", "Speed", "tokens a second", "Tokens that went through training each second."),
)
_MAX_SAMPLES = 12


def run_page(run_dirs: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> Page:
    """Make a page of one or more runs' folders.

    A folder must hold metrics.jsonl; config.toml, environment.json and samples.jsonl are shown where they
    are.

    Raises:
        DataError: a folder has no metrics.jsonl, or a line of it is not what it should be.
    """
    folders = [Path(run_dirs)] if isinstance(run_dirs, str | os.PathLike) else [Path(folder) for folder in run_dirs]
    if not folders:
        raise DataError("no run was named; give at least one folder that holds metrics.jsonl")
    runs = {_name(folder, folders): _read_jsonl(folder / "metrics.jsonl", "step", int | float) for folder in folders}
    names = list(runs)
    return Page(
        title=names[0] if len(names) == 1 else f"{len(names)} runs beside each other",
        kicker="bytemill report",
        lead=_lead(runs),
        sections=(
            Section("Curves", tuple(_curves(runs))),
            *(Section(name, tuple(_about(folder))) for name, folder in zip(names, folders, strict=True)),
        ),
        footer="Written by bytemill. This page is one file: it loads nothing, and you can send it as it is.",
    )


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's name, or its path where another run has the same name."""
    name = folder.resolve().name
    return name if [other.resolve().name for other in folders].count(name) == 1 else str(folder)


def _lead(runs: Mapping[str, Sequence[MetricsRow]]) -> str:
    steps = [int(max((row["step"] for row in metrics), default=0)) for metrics in runs.values()]
    if min(steps) == max(steps):
        return f"Trained for {count(steps[0])} step{'' if steps[0] == 1 else 's'}."
    return f"Between {count(min(steps))} and {count(max(steps))} steps of training."


def _curves(runs: Mapping[str, Sequence[MetricsRow]]) -> list[Block]:
    rows = []
    for name, metrics in runs.items():
        losses = [series(metrics, key)[1] for key in ("loss", "val_loss")]
        best = min(filter(math.isfinite, losses[1]), default=math.nan)
        lasts = [decimal(values[-1], 4) if values else "–" for values in losses]
        rows.append((name, *lasts, decimal(best, 4)))
    header = ("run", "training loss", "validation loss", "best validation loss")
    blocks: list[Block] = [Table("Losses at the end", header, tuple(rows), numeric=(1, 2, 3))]
    compares = any(is_preference_run(metrics) for metrics in runs.values())
    blocks += preference_plots(runs)
    for key, title, unit, what in _CURVES:
        if compares:
            unit, what = IN_PREFERENCE_RUNS.get(key, (unit, what))
        plot = overlaid_plot(key.replace("_", "-"), title, runs, key, y_label=unit, what=what)
        blocks += [plot] if plot else []
    return blocks


def _about(folder: Path) -> list[Block]:
    blocks: list[Block] = []
    if (folder / "samples.jsonl").is_file():
        rows = _read_jsonl(folder / "samples.jsonl", "text", str)[-_MAX_SAMPLES:]
        blocks += [_sample(row) for row in rows]
    for file, title in (("config.toml", "Configuration"), ("environment.json", "Environment")):
        if (folder / file).is_file():
            text = (folder / file).read_text(encoding="utf-8", errors="replace")
            blocks.append(Details(title, (Code(text.strip()),)))
    return blocks or [Prose("The folder holds metrics alone.")]


def _sample(row: Mapping[str, object]) -> Comparison:
    prompt = str(row.get("prompt", ""))
    text = str(row["text"]).removeprefix(prompt)
    return Comparison(title=f"Sample at step {row.get('step', '?')}", lead=prompt, columns=(("", text),))


def _read_jsonl(path: Path, key: str, kind: type | UnionType) -> list[dict[str, Any]]:
    """Read one object a line; a last line without its end is a run that is being written, and is left out."""
    if not path.is_file():
        raise DataError(f"{path} is not there; a run's folder holds metrics.jsonl")
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or not isinstance(row.get(key), kind):
            raise DataError(f'{path}, line {number}: expected a JSON object with "{key}", got {line[:80]!r}')
        rows.append(row)
    return rows
