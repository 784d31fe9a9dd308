"""The defaults of settings as the help of training commands shows them, computed from the settings themselves."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from bytemill.tasks.base_settings import model_shape
from bytemill.train.config import load_config

if TYPE_CHECKING:
    from bytemill.train.config import RunConfig

__all__ = ["described_default"]


def described_default(setting: str, task: str) -> str:
    """Return the default of a setting in a task; if LoRA changes it, with both values.

    >>> described_default("train.max_steps", "pretrain"), described_default("train.epochs", "pretrain")
    ('1000', 'not set; --steps sets the length')
    >>> described_default("train.learning_rate", "lm")
    '2e-4, or 5e-5 with --lora-rank 0'
    """
    config = _defaults(task)
    if setting == "train.max_steps" and config.train.epochs is not None:
        return "not set; --epochs sets the length"
    value = _value(config, setting)
    if value is None and setting == "train.epochs":
        return "not set; --steps sets the length"
    rank = config.lora.r
    if task == "pretrain" or setting == "lora.r":
        return _shown(value)
    other = _value(_defaults(task, lora_rank=0 if rank else 1), setting)
    if other == value:
        return _shown(value)
    return f"{_shown(value)}, or {_shown(other)} with {'--lora-rank 0' if rank else 'LoRA'}"


@cache
def _defaults(task: str, lora_rank: int | None = None) -> RunConfig:
    return load_config(None, [f"task={task}", *([] if lora_rank is None else [f"lora.r={lora_rank}"])])


def _value(config: RunConfig, setting: str) -> Any:
    section, _, name = setting.partition(".")
    return getattr(model_shape(config) if section == "model" else getattr(config, section), name)


def _shown(value: Any) -> str:
    """Return a number as people write it.

    >>> _shown(0.0006), _shown(3.0), _shown(0.1), _shown(256)
    ('6e-4', '3', '0.1', '256')
    """
    if isinstance(value, float) and 0 < value < 1e-3:
        digits, _, exponent = f"{value:e}".partition("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:g}" if isinstance(value, float) else str(value)
