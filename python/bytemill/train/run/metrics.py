"""Writes a run's metrics: as JSON lines that survive a kill, and for Weights & Biases.

There is one line per logged step. On a resume the lines of steps that will be repeated are removed, so each step
appears once, as in an uninterrupted run.
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
    """A file of JSON objects, each with its `step`, one per line, oldest first.

    Args:
        path: The file; created if missing.
        before_step: Lines of this step and later ones are removed, and so is a truncated last line.
    """

    def __init__(self, path: Path, *, before_step: int) -> None:
        kept = [line for line in read_json_lines(path) if line["step"] < before_step] if path.exists() else []
        self._lines = LineFile(path, "".join(_spell(line) for line in kept))

    def append(self, line: Mapping[str, Any]) -> None:
        """Write one object; it is kept even if this process is killed."""
        self._lines.append(_spell(line))

    def sync(self) -> None:
        """Flush all lines to the disk, so that they are kept even if the machine crashes."""
        self._lines.sync()

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class WeightsAndBiases:
    """Sends the metrics to Weights & Biases (wandb.ai); needs the package wandb.

    Args:
        folder: The run's folder; its file wandb_id lets a resumed run continue the same curves.
        project: Project that shows the run.
        settings: Settings shown with the run.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(self, folder: Path, project: str, settings: Mapping[str, Any]) -> None:
        try:
            import wandb
        except ImportError:
            raise ConfigError("train.wandb needs the package wandb: pip install wandb") from None
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
        """Send the remaining data and finish."""
        self._run.finish()


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a metrics.jsonl or samples.jsonl, without a last line that a kill truncated.

    Raises:
        FormatError: A line is not a JSON object with a step; the error names file and line.
    """
    objects = []
    for number, line in read_lines(path):
        parsed = parse_object(line, f"{path}, line {number}")
        if not isinstance(parsed.get("step"), int):
            raise FormatError(f"{path}, line {number}: expected a JSON object whose step is a whole number")
        objects.append(parsed)
    return objects


def as_json_data(value: Any) -> Any:
    """Return the value with NaN and infinite numbers replaced by None, because JSON has neither.

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
