"""Checks whether a folder may hold a new run, and which settings of model and optimizer a resumed run may change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from bytemill.train.config import RunConfig
    from bytemill.train.run.checkpoint import Checkpoint

__all__ = ["refuse_other_optimizer", "refuse_run_in", "without_dropout"]


def refuse_run_in(folder: Path) -> None:
    """Refuse to start a new run in a folder that already contains one.

    Raises:
        ConfigError: The folder contains a run; the message says how to continue it.
    """
    if (folder / "config.toml").exists():
        raise ConfigError(
            f"{folder}: already contains a run; continue it with --resume, or give another folder with --output"
        )


def refuse_other_optimizer(checkpoint: Checkpoint, config: RunConfig, run: Path) -> None:
    """Refuse to resume with another optimizer, which cannot use the saved moments.

    Raises:
        ConfigError: The optimizer of `config` differs from the checkpoint's; the error says how to continue.
    """
    saved = checkpoint.state.get("settings", {}).get("train", {}).get("optimizer", "adamw")
    own = config.train.optimizer
    if saved != own:
        raise ConfigError(
            f"train.optimizer is {own}, but {checkpoint.path} was trained with {saved}, and {own} cannot use its "
            f"moments: resume with train.optimizer={saved}, or start a new run with base={run}"
        )


def without_dropout(settings: Any) -> Any:
    """Return a model's settings without dropout, which a resumed run may change.

    >>> without_dropout({"n_layer": 2, "resid_pdrop": 0.1, "lora": {"r": 4, "lora_dropout": 0.0}})
    {'n_layer': 2, 'lora': {'r': 4}}
    """
    if isinstance(settings, dict):
        return {name: without_dropout(value) for name, value in settings.items() if not _is_dropout(name, value)}
    return settings


def _is_dropout(name: str, value: Any) -> bool:
    return "drop" in name and (value is None or isinstance(value, int | float))
