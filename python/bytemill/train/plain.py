"""The training loop by definition, in plain torch. Read this before learner.py and loop.py.

    for each step:
        gradient = gradient of the mean loss over all targets of the step, clipped
        lr = schedule(step)
        weights = AdamW(weights, gradient, lr)

`bytemill.train.loop.fit` gives the same weights within rounding, and a test compares the two. `fit` adds what long runs
need: it keeps the activations of only one micro-batch in memory, computes in half precision and in several processes,
validates, samples, logs, and saves checkpoints that a stopped run continues from.

Here a model of pairs trains on a sentence. Its only weights are a score for each byte after each byte:

>>> from itertools import repeat
>>> from bytemill.train.config import TrainConfig
>>> from bytemill.train.task import BatchLoss
>>> ids = torch.tensor(list(b"the cat sat on the mat"))
>>> def loss(model, batch):
...     inputs, targets = batch
...     scores = model(inputs)  # (T, 256)
...     return BatchLoss(torch.nn.functional.cross_entropy(scores, targets, reduction="sum"), weight=len(targets))
>>> settings = TrainConfig(max_steps=50, learning_rate=0.1, warmup_steps=5)
>>> losses = train(torch.nn.Embedding(256, 256), repeat((ids[:-1], ids[1:])), loss, settings)
>>> len(losses), losses[-1] < losses[0] / 2
(50, True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bytemill.train.machine.device import seed_step
from bytemill.train.schedule import learning_rate_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bytemill.train.config import TrainConfig
    from bytemill.train.task import BatchLoss

__all__ = ["train"]


def train(
    model: torch.nn.Module,
    batches: Iterator[Any],
    loss: Callable[[torch.nn.Module, Any], BatchLoss],
    settings: TrainConfig,
) -> list[float]:
    """Train `model` in place with AdamW, and return the mean loss of each step, in nats per target.

    Args:
        model: On its device; parameters that require a gradient are trained.
        batches: Micro-batches, on the same device.
        loss: Returns the summed loss of a micro-batch and its number of targets; see `bytemill.train.task.BatchLoss`.
        settings: Steps, micro-batches per step, schedule, clipping, weight decay, betas, eps and seed.
    """
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    decayed = {"params": [w for w in weights if w.dim() >= 2], "weight_decay": settings.weight_decay}
    others = {"params": [w for w in weights if w.dim() < 2], "weight_decay": 0.0}  # biases, gains of norms
    optimizer = torch.optim.AdamW([decayed, others], betas=settings.betas, eps=settings.eps)
    model.train()
    losses = []
    for step in range(settings.max_steps):
        seed_step(settings.seed, step, rank=0)  # dropout depends on the seed and the step alone
        parts = [loss(model, next(batches)) for _ in range(settings.micro_batches)]
        mean = torch.stack([part.loss_sum for part in parts]).sum() / sum(part.weight for part in parts)
        mean.backward()  # type: ignore[no-untyped-call]
        if settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(weights, settings.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, settings)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(mean.item())
    return losses
