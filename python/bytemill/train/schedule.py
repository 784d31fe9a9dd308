"""The learning rate of each step: linear warm-up, then half a cosine down to the floor.

The rate is a function of the step alone, so a resumed run needs nothing saved to find its place. The
cosine is that of Loshchilov and Hutter, "SGDR" (2017), without restarts; the warm-up counts from one,
so that the first step moves the weights at all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bytemill.train.config import TrainConfig

__all__ = ["learning_rate_at"]


def learning_rate_at(step: int, settings: TrainConfig) -> float:
    """Learning rate of the step with this index, the first being 0.

    >>> from bytemill.train.config import TrainConfig
    >>> gpt2 = TrainConfig(max_steps=19_073, warmup_steps=715)
    >>> learning_rate_at(714, gpt2), round(learning_rate_at(9_894, gpt2), 9), learning_rate_at(20_000, gpt2)
    (0.0006, 0.00033, 6e-05)
    """
    peak, floor = settings.learning_rate, settings.min_learning_rate
    if step < settings.warmup_steps:
        return peak * (step + 1) / settings.warmup_steps
    if settings.schedule == "constant":
        return peak
    if step >= settings.max_steps:
        return floor
    progress = (step - settings.warmup_steps) / (settings.max_steps - settings.warmup_steps)
    return floor + 0.5 * (1 + math.cos(math.pi * progress)) * (peak - floor)
