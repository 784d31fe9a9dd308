"""Reads what a run's folder holds: metrics, samples, settings, environment, and figures of its test rows."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any

from bytemill.errors import ConfigError, DataError, FormatError
from bytemill.json_reader import parse_object, read_lines, read_object
from bytemill.outside_text import one_line
from bytemill.train.config import read_toml

__all__ = ["TASKS", "Folder", "RunData", "display_names", "is_run", "read_runs"]

Folder = str | os.PathLike[str]

TASKS = {
    "pretrain": "pretraining",
    "lm": "tuning on texts",
    "instruct": "tuning on instructions",
    "chat": "tuning on conversations",
    "classify": "classifier",
    "preference": "preference tuning",
}
"""Names of the tasks in titles."""

_LARGEST = 2**64 - 1


@dataclass(frozen=True)
class RunData:
    """The content of one run's folder; what the folder lacks is empty."""

    name: str
    folder: Path
    metrics: Sequence[Mapping[str, Any]]
    samples: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    """config.toml."""
    environment: Mapping[str, Any]
    """environment.json."""
    test: Mapping[str, Any]
    """test.json."""
    seconds: float | None
    """Seconds of all sessions together; None if none has ended."""

    @property
    def task(self) -> str:
        """The task: that of metrics which only one task logs, else that of the settings, else pretraining."""
        keys = {key for row in self.metrics for key in row}
        if "reward_chosen" in keys or "val_macro_f1" in keys:
            return "preference" if "reward_chosen" in keys else "classify"
        task = self.settings.get("task")
        return task if task in TASKS else "pretrain"

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return int(max((row["step"] for row in self.metrics), default=0))

    def logged(self, key: str) -> list[tuple[float, float]]:
        """Return (step, value) of each row with `key`; a value that is not a finite number is NaN."""
        return [(row["step"], _number(row[key])) for row in self.metrics if key in row]

    def last(self, key: str) -> float:
        """Return the last value of a metric; NaN if it was not logged."""
        return next((_number(row[key]) for row in reversed(self.metrics) if key in row), math.nan)


def is_run(folder: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (folder / "metrics.jsonl").is_file()


def read_runs(run_dirs: Mapping[str, Folder] | Sequence[Folder] | Folder) -> list[RunData]:
    """Read the folders of runs; a mapping gives the displayed name of each.

    Raises:
        DataError: No folder is given, a folder has no metrics.jsonl, or a line of it has another form.
    """
    named = _named(run_dirs)
    if not named:
        raise DataError("no run was given; give at least one folder that contains metrics.jsonl")
    return [_read_run(name, folder) for name, folder in named.items()]


def _read_run(name: str, folder: Path) -> RunData:
    samples = folder / "samples.jsonl"
    return RunData(
        name,
        folder,
        _read_jsonl(folder / "metrics.jsonl", "step", int | float),
        _read_jsonl(samples, "text", str) if samples.is_file() else [],
        _settings(folder / "config.toml"),
        _object(folder / "environment.json"),
        _object(folder / "test.json"),
        _seconds(folder / "sessions.jsonl"),
    )


def _settings(path: Path) -> Mapping[str, Any]:
    try:
        return read_toml(path)
    except ConfigError:
        return {}


def _object(path: Path) -> dict[str, Any]:
    try:
        return read_object(path)
    except (OSError, FormatError):
        return {}


def _seconds(path: Path) -> float | None:
    if not path.is_file():
        return None
    lines = [parse_object(line, f"{path}, line {number}") for number, line in read_lines(path)]
    seconds = [_number(line.get("seconds")) for line in lines]
    return sum(seconds) if seconds and all(map(math.isfinite, seconds)) else None


def _named(run_dirs: Mapping[str, Folder] | Sequence[Folder] | Folder) -> dict[str, Path]:
    if isinstance(run_dirs, Mapping):
        return {name: Path(folder) for name, folder in run_dirs.items()}
    return display_names([run_dirs] if isinstance(run_dirs, str | os.PathLike) else run_dirs)


def display_names(places: Sequence[Folder]) -> dict[str, Path]:
    """Return each place by its name, or by its path if another place has the same name.

    >>> [*display_names(["runs/a", "runs/b", "old/b"])]
    ['a', 'runs/b', 'old/b']
    """
    paths = [Path(place) for place in places]
    names = [path.resolve().name for path in paths]
    return {name if names.count(name) == 1 else str(path): path for name, path in zip(names, paths, strict=True)}


def _number(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and math.isfinite(value) else math.nan


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
