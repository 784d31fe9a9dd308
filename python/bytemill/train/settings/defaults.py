"""The defaults of each task: values of settings that neither a file nor `--set` gives.

    setting                    lm, instruct, chat   classify   preference   pretrain
    train.epochs                                3          5            1   none: train.max_steps, 1000
    lora.r                                      8          0            8   0
    train.learning_rate                      2e-4       2e-4         5e-6
      with lora.r = 0                        5e-5       5e-5         5e-6   6e-4
    train.min_learning_rate       a tenth of train.learning_rate, in all tasks
    train.warmup_share                        0.1        0.1          0.1   none: 100 steps, at most a tenth
    train.weight_decay                        0.1        0.1         0.01   0.1
    train.eval_every                          250        250           25   250
    train.sample_each_epoch                  true      false         true   false
    train.keep_best                          true       true         true   false

Where the values come from: 3 epochs are Stanford Alpaca's (Taori et al. 2023) and the default of transformers' Trainer;
2e-4 is QLoRA's rate (Dettmers et al. 2023, table 9) and 5e-5 the Trainer's default; 5 epochs at 5e-5 are those of the
spam classifier in Raschka's "Build a Large Language Model (From Scratch)" (2024), one epoch at 5e-6 those of its
preference tuning; a warm-up of a tenth is that of Zephyr's recipes (Tunstall et al. 2023), a floor of a tenth GPT-3's
(Brown et al. 2020). `RunConfig()` in Python has pretraining's values. A run's own config.toml gives every setting, so a
change of these defaults does not affect existing runs.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["floor_of", "with_defaults", "with_floor_below_peak"]

_MAX_STEPS = 1000
_WARMUP_STEPS = 100
_WARMUP_SHARE = 0.1


class _Tuning(NamedTuple):
    """The defaults of one tuning task: one column of the table above."""

    epochs: float = 3
    lora_rank: int = 8
    lora_learning_rate: float = 2e-4
    learning_rate: float = 5e-5
    weight_decay: float = 0.1
    eval_every: int = 250
    sample_each_epoch: bool = True


_OF_TASK = {
    "lm": _Tuning(),
    "instruct": _Tuning(),
    "chat": _Tuning(),
    "classify": _Tuning(epochs=5, lora_rank=0, sample_each_epoch=False),
    "preference": _Tuning(epochs=1, lora_learning_rate=5e-6, learning_rate=5e-6, weight_decay=0.01, eval_every=25),
}


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, section by section; settings that are not given get their task's default.

    >>> with_defaults({"task": "instruct", "lora": {"r": 0}})["train"]["learning_rate"]
    5e-05
    >>> with_defaults({"train": {"max_steps": 50}})["train"]["warmup_steps"]
    5
    """
    filled = dict(settings)
    train, lora = filled.get("train", {}), filled.get("lora", {})
    if not isinstance(train, dict) or not isinstance(lora, dict):
        return filled  # refused when the settings are checked
    task = filled.get("task", "pretrain")
    tuning = _OF_TASK.get(task) if isinstance(task, str) else None
    if tuning is not None:
        filled["lora"] = {"r": tuning.lora_rank, **lora}
        filled["train"] = _of_tuning(train, tuning, adapts=bool(filled["lora"]["r"]))
    elif task == "pretrain":
        filled["train"] = {**_warmup_of_pretraining(train), **train}
    return filled


def floor_of(learning_rate: Any) -> float | None:
    """Return a tenth of a learning rate, exact in decimal digits; None if it is not a finite number.

    >>> floor_of(6e-4), floor_of("many")
    (6e-05, None)
    """
    try:
        floor = Decimal(str(learning_rate)) / 10
    except InvalidOperation:
        return None
    return float(floor) if floor.is_finite() else None


def with_floor_below_peak(settings: Mapping[str, Any], *, before: Mapping[str, Any]) -> dict[str, Any]:
    """Drop `train.min_learning_rate` if it was a tenth of the peak and the peak is now below it.

    Args:
        settings: The settings now, section by section.
        before: The settings before `--set` changed them.

    >>> recorded = {"train": {"learning_rate": 6e-4, "min_learning_rate": 6e-5}}
    >>> now = {"train": {"learning_rate": 5e-5, "min_learning_rate": 6e-5}}
    >>> with_floor_below_peak(now, before=recorded)["train"]
    {'learning_rate': 5e-05}
    """
    changed, train, old = dict(settings), settings.get("train"), before.get("train")
    if not isinstance(train, dict) or not isinstance(old, dict):
        return changed
    peak, floor = train.get("learning_rate"), train.get("min_learning_rate")
    was_a_tenth = floor == old.get("min_learning_rate") == floor_of(old.get("learning_rate"))
    if was_a_tenth and isinstance(peak, int | float) and isinstance(floor, int | float) and floor > peak:
        changed["train"] = {name: value for name, value in train.items() if name != "min_learning_rate"}
    return changed


def _of_tuning(train: Mapping[str, Any], tuning: _Tuning, *, adapts: bool) -> dict[str, Any]:
    """Return the train section with the task's defaults; explicit settings win, and some of them replace a default."""
    defaults: dict[str, Any] = {
        "learning_rate": tuning.lora_learning_rate if adapts else tuning.learning_rate,
        "weight_decay": tuning.weight_decay,
        "eval_every": tuning.eval_every,
    }
    if "max_steps" not in train:
        defaults["epochs"] = tuning.epochs
    if "warmup_steps" not in train:
        defaults["warmup_share"] = _WARMUP_SHARE
    if "sample_every" not in train:
        defaults["sample_each_epoch"] = tuning.sample_each_epoch
    if "checkpoint_every" not in train:
        defaults["keep_best"] = True
    return {**defaults, **train}


def _warmup_of_pretraining(train: Mapping[str, Any]) -> dict[str, Any]:
    if "warmup_steps" in train or "warmup_share" in train:
        return {}
    if train.get("epochs") is not None:  # the number of steps follows from the data
        return {"warmup_share": _WARMUP_SHARE}
    steps = train.get("max_steps", _MAX_STEPS)
    is_number = isinstance(steps, int) and not isinstance(steps, bool) and steps >= 0
    return {"warmup_steps": min(_WARMUP_STEPS, steps // 10)} if is_number else {}
