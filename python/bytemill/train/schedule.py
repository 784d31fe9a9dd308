"""The learning rate schedules: a linear warm-up, then a decay.

    cosine     half a cosine from the peak to the floor (Loshchilov and Hutter, "SGDR", 2017, without restarts)
    linear     a straight line from the peak to the floor
    wsd        warm-up, stable, decay: the peak for most of the run, then a decay as 1 - sqrt(progress) (Haegele
               et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024)
    constant   the peak, without decay

The learning rate depends only on the step, so a resumed run needs no saved state for it. The warm-up counts from one,
so that the first step changes the weights. If `first_learning_rate` is given, the warm-up counts from zero and starts
at that rate.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytemill.train.config import TrainConfig

__all__ = ["learning_rate_at"]


def learning_rate_at(step: int, settings: TrainConfig) -> float:
    """Return the learning rate of a step; the first step is 0.

    >>> from bytemill.train.config import TrainConfig
    >>> gpt2 = TrainConfig(max_steps=19_073, warmup_steps=715)
    >>> learning_rate_at(714, gpt2), round(learning_rate_at(9_894, gpt2), 9), learning_rate_at(20_000, gpt2)
    (0.0006, 0.00033, 6e-05)
    """
    peak, floor = settings.learning_rate, settings.min_learning_rate
    if step < settings.warmup_steps:
        return _warming_up(step, settings)
    if settings.schedule == "constant":
        return peak
    if step >= settings.max_steps:
        return floor
    steps_after_warmup = settings.max_steps - settings.warmup_steps
    progress = (step - settings.warmup_steps) / steps_after_warmup
    if settings.schedule == "linear":
        height = 1 - progress
    elif settings.schedule == "wsd":
        decay_steps = settings.decay_share * steps_after_warmup
        height = 1 - math.sqrt(max(0.0, 1 - (settings.max_steps - step) / decay_steps))
    else:
        height = 0.5 * (1 + math.cos(math.pi * progress))
    return floor + height * (peak - floor)


def _warming_up(step: int, settings: TrainConfig) -> float:
    peak, first = settings.learning_rate, settings.first_learning_rate
    if first is None:
        return peak * (step + 1) / settings.warmup_steps
    return first + step * (peak - first) / settings.warmup_steps
