"""Reads the runs of a sweep from TOML: a base configuration, and the settings that differ between runs.

    config = "instruct.toml"          # the base, in the folder of this file; or its settings under [config]

    [grid]                            # every combination is one run
    "lora.r" = [1, 4, 16]
    "train.learning_rate" = [1e-3, 1e-4]

    [[runs]]                          # and each of these
    name = "all parameters"
    "lora.r" = 0

A run is named after its varied settings, so finished runs are kept when the grid grows.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError, FormatError
from bytemill.files import write_text
from bytemill.json_reader import read_object
from bytemill.train.config import config_from_settings, load_config, read_toml
from bytemill.train.settings.toml import toml_literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bytemill.data.rows import TemplateName
    from bytemill.train.config import RunConfig

__all__ = ["PlannedRun", "is_sweep", "read_plan", "read_sweep", "write_plan"]

_KEYS = ("config", "grid", "runs")
_MAX_NAME_CHARACTERS = 100
_PLAN = "plan.json"
_NAMES_OF_SWEEPS = ("configs", "logs", "report.html", _PLAN)
"""Names in a sweep's folder that are not runs."""
_AT_THE_ENDS = 1_000_000_000
"""Value of `train.sample_every` that samples only before the first step and after the last."""


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep."""

    name: str
    """Name of its folder."""
    config: RunConfig
    varied: Mapping[str, Any]
    """The settings that differ between runs, by dotted name."""


def read_sweep(path: str | Path, overrides: Iterable[str] = ()) -> list[PlannedRun]:
    """Read the runs of a sweep, in the order of the file: the grid first, with its last setting varying fastest.

    If a sweep has no prompts, it samples an ordinary and an instruction prompt before and after each run.

    Args:
        path: The TOML file.
        overrides: `section.setting=value` for the base of all runs.

    Raises:
        ConfigError: The file has another form, a setting is unknown, two runs have the same name, or a run has a name
            that the sweep's folder uses.
    """
    path = Path(path)
    content = read_toml(path)
    for key in content:
        if key not in _KEYS:
            raise ConfigError(
                f"{path}: {key} is unknown, expected one of {', '.join(_KEYS)}; settings of all runs go under [config]"
            )
    base, overrides = _base(content.get("config", {}), path), list(overrides)
    planned = [_planned(path, base, overrides, name, varied) for name, varied in _variations(content, path)]
    if not planned:
        raise ConfigError(f"{path}: has no runs; give a [grid] of lists, or [[runs]]")
    seen: set[str] = set()
    for run in planned:
        if run.name.lower() in _NAMES_OF_SWEEPS:  # some file systems ignore case
            raise ConfigError(
                f"{path}: a run is called {run.name!r}, but the sweep's folder uses this name; rename the run"
            )
        if run.name in seen:
            raise ConfigError(f"{path}: two runs are called {run.name!r}; rename one of them")
        seen.add(run.name)
    return planned


def write_plan(planned: Sequence[PlannedRun], folder: Path) -> None:
    """Write the names and varied settings of the runs to the sweep's folder, from which `read_plan` reads them."""
    runs = [{"name": run.name, "varied": dict(run.varied)} for run in planned]
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / _PLAN, json.dumps({"runs": runs}, ensure_ascii=False, indent=2, default=str) + "\n")


def is_sweep(folder: Path) -> bool:
    """Return whether a folder is that of a sweep."""
    return (folder / _PLAN).is_file()


def read_plan(folder: Path) -> list[PlannedRun]:
    """Read the runs of a sweep that `run_sweep` has begun, from its folder.

    Raises:
        FormatError: The plan has another form.
        ConfigError: The settings of a run cannot be read.
    """
    path = folder / _PLAN
    runs = read_object(path).get("runs")
    if not isinstance(runs, list):
        raise FormatError(f"{path}: expected an object with runs, a list")
    planned = []
    for number, run in enumerate(runs, start=1):
        name, varied = (run.get("name"), run.get("varied")) if isinstance(run, dict) else (None, None)
        if not isinstance(name, str) or name != _folder_name(name) or not isinstance(varied, dict):
            raise FormatError(f"{path}: run {number}: expected a name of a folder, and varied, an object")
        planned.append(PlannedRun(name, load_config(folder / "configs" / f"{name}.toml"), varied))
    return planned


def _base(config: Any, path: Path) -> Mapping[str, Any]:
    if isinstance(config, str):
        return read_toml(path.parent / config)
    if isinstance(config, dict):
        return config
    raise ConfigError(f"{path}: config is {config!r}, expected a file name or a table of settings")


def _variations(content: Mapping[str, Any], path: Path) -> Iterable[tuple[str | None, dict[str, Any]]]:
    """Yield (name or None, varied settings) of each run."""
    if not isinstance(content.get("grid", {}), dict):
        raise ConfigError(f"{path}: grid is {content['grid']!r}, expected a table with a list of values per setting")
    grid = dict(_flat(content.get("grid", {})))
    for setting, values in grid.items():
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{path}: grid.{setting} is {values!r}, expected a list of values")
    if grid:
        for values in itertools.product(*grid.values()):
            yield None, dict(zip(grid, values, strict=True))
    runs = content.get("runs", [])
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise ConfigError(f"{path}: runs has another form, expected [[runs]], one table per run")
    for run in runs:
        name = run.get("name")
        yield (
            None if name is None else str(name),
            dict(_flat({key: value for key, value in run.items() if key != "name"})),
        )


def _planned(
    path: Path, base: Mapping[str, Any], overrides: Sequence[str], name: str | None, varied: dict[str, Any]
) -> PlannedRun:
    changes = [f"{setting}={toml_literal(value)}" for setting, value in varied.items()]
    try:
        config = config_from_settings(base, [*overrides, *changes])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return PlannedRun(_folder_name(name or _name_of(varied)), _with_samples(config), varied)


def _with_samples(config: RunConfig) -> RunConfig:
    sample, train = config.sample, config.train
    if not sample.prompts:
        from bytemill.tasks.next_token import own_prompts_as_text  # imports torch

        sample = sample.model_copy(update={"prompts": own_prompts_as_text(_template(config))})
    if not train.sample_every:
        train = train.model_copy(update={"sample_every": _AT_THE_ENDS, "sample_each_epoch": False})
    return config.model_copy(update={"sample": sample, "train": train})


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield dotted names and values: TOML reads `lora.r = 1` as nested tables unless the name is quoted."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _name_of(varied: Mapping[str, Any]) -> str:
    """Return a short name of a run: the last part of each varied setting's name, and its value.

    >>> _name_of({"lora.r": 4, "train.learning_rate": 1e-3, "lora.target_modules": ["qkv", "expand"]})
    'r=4_learning_rate=0.001_target_modules=qkv+expand'
    """
    lasts = [setting.rpartition(".")[2] for setting in varied]
    names = lasts if len(set(lasts)) == len(lasts) else list(varied)
    return "_".join(f"{name}={_spelled(value)}" for name, value in zip(names, varied.values(), strict=True)) or "base"


def _spelled(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(_spelled(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _folder_name(name: str) -> str:
    """Return a name that any file system accepts; a long name is cut and gets a hash."""
    safe = re.sub(r"[^\w.=+-]+", "-", name).strip("-.") or "run"
    if len(safe) <= _MAX_NAME_CHARACTERS:
        return safe
    return f"{safe[:_MAX_NAME_CHARACTERS]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _template(config: RunConfig) -> TemplateName:
    """Return the template of samples; the base's own template is not known yet."""
    template = config.data.template
    return "alpaca" if template is None or template == "own" else template
