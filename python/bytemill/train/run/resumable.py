"""What a resumed run may change of its model and its optimizer, and what it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from bytemill.train.config import RunConfig
    from bytemill.train.run.checkpoint import Checkpoint

__all__ = ["refuse_other_optimizer", "without_dropout"]


def refuse_other_optimizer(checkpoint: Checkpoint, config: RunConfig, run: Path) -> None:
    """Refuse to go on with another optimizer: the moments of one are of no use to the other.

    Raises:
        ConfigError: `config` has another optimizer than the checkpoint; says how to go on.
    """
    saved = checkpoint.state.get("settings", {}).get("train", {}).get("optimizer", "adamw")
    own = config.train.optimizer
    if saved != own:
        raise ConfigError(
            f"train.optimizer is {own}, but {checkpoint.path} was trained with {saved}, whose moments {own} cannot "
            f"use: resume with train.optimizer={saved}, or start a new run with base={run}"
        )


def without_dropout(settings: Any) -> Any:
    """Return a model's settings without its dropout, which may change on the way: it is no other model.

    >>> without_dropout({"n_layer": 2, "resid_pdrop": 0.1, "lora": {"r": 4, "lora_dropout": 0.0}})
    {'n_layer': 2, 'lora': {'r': 4}}
    """
    if isinstance(settings, dict):
        return {name: without_dropout(value) for name, value in settings.items() if not _is_dropout(name, value)}
    return settings


def _is_dropout(name: str, value: Any) -> bool:
    return "drop" in name and (value is None or isinstance(value, int | float))
