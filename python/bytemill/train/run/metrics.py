"""What a run measures on the way: JSON lines that survive kills, and the same metrics for Weights & Biases.

One line a logged step. After a resume the lines of steps that will be done again are cut off, so
each step stands there once, as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError, FormatError
from bytemill.files import LineFile, write_text
from bytemill.json_reader import parse_object, read_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JsonLines", "WeightsAndBiases", "as_json_data", "read_json_lines"]


class JsonLines:
    """A file of JSON objects, each with its `step`, one a line, oldest first.

    Args:
        path: The file; made when missing.
        before_step: Lines of this step and later ones are cut off, and a last line cut short is too.
    """

    def __init__(self, path: Path, *, before_step: int) -> None:
        kept = [line for line in read_json_lines(path) if line["step"] < before_step] if path.exists() else []
        self._lines = LineFile(path, "".join(_spell(line) for line in kept))

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one object; it outlives this process at once."""
        self._lines.append(_spell(line))

    def sync(self) -> None:
        """Force all lines to the disk: they outlive the machine's fall too."""
        self._lines.sync()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class WeightsAndBiases:
    """The metrics for Weights & Biases (wandb.ai), whose package is needed only here.

    Args:
        folder: The run's folder; its file wandb_id lets a resumed run go on with the same curves.
        project: Where the run is shown.
        settings: Shown with it.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(self, folder: Path, project: str, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError:
            raise ConfigError("train.wandb needs Weights & Biases' client: pip install wandb") from None
        id_file = folder / "wandb_id"
        if not id_file.exists():
            write_text(id_file, secrets.token_hex(8))
        self._run = wandb.init(
            project=project,
            name=folder.name,
            id=id_file.read_text(encoding="utf-8"),
            resume="allow",
            dir=str(folder),
            config=dict(settings),
        )

    def append(self, line: Mapping[str, Any]) -> None:
        """Send one line of metrics."""
        self._run.log({name: value for name, value in line.items() if name != "step"}, step=line["step"])

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a metrics.jsonl or samples.jsonl, without a last line that a kill cut short.

    Raises:
        FormatError: A line is no JSON object with a step; names file and line.
    """
    objects = []
    for number, line in read_lines(path):
        parsed = parse_object(line, f"{path}, line {number}")
        if not isinstance(parsed.get("step"), int):
            raise FormatError(f"{path}, line {number}: expected an object with a whole number as step")
        objects.append(parsed)
    return objects


def as_json_data(value: Any) -> Any:
    """The value with None for infinite numbers and NaN in it, which JSON cannot spell.

    >>> as_json_data({"val_loss": 900.0, "val_perplexity": math.inf, "losses": [math.nan, 1]})
    {'val_loss': 900.0, 'val_perplexity': None, 'losses': [None, 1]}
    """
    if isinstance(value, Mapping):
        return {name: as_json_data(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_json_data(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _spell(line: Mapping[str, Any]) -> str:
    return json.dumps(as_json_data(line), ensure_ascii=False) + "\n"
