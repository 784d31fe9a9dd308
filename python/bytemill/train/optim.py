"""AdamW over two groups of parameters: matrices, which decay, and vectors, which do not.

Decay pulls weights towards zero. For biases, norms' gains and the like zero is no simpler value than
another, so only tensors of two or more dimensions decay (Loshchilov and Hutter, "Decoupled weight
decay regularization", 2019; the grouping is GPT-2's and GPT-3's practice).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bytemill.train.config import TrainConfig

__all__ = ["build_adamw", "scale_and_clip_gradients"]

_FUSED_DEVICES = ("cuda", "cpu")


def build_adamw(parameters: Iterable[torch.nn.Parameter], settings: TrainConfig) -> torch.optim.AdamW:
    """AdamW over `parameters`; one fused kernel where the device has one.

    >>> from bytemill.train.config import TrainConfig
    >>> optimizer = build_adamw(torch.nn.Linear(3, 2).parameters(), TrainConfig())
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    parameters = list(parameters)
    matrices = [p for p in parameters if p.dim() >= 2]
    vectors = [p for p in parameters if p.dim() < 2]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=settings.betas,
        eps=settings.eps,
        fused=all(p.device.type in _FUSED_DEVICES for p in parameters),
    )


@torch.no_grad()
def scale_and_clip_gradients(parameters: Iterable[torch.nn.Parameter], scale: float, max_norm: float) -> float:
    """Multiply every gradient by `scale`, then shrink all of them together to a norm of `max_norm`.

    Args:
        parameters: Those without a gradient are passed over.
        scale: Turns summed gradients into means, 1 / total weight.
        max_norm: Largest norm of all gradients as one vector; 0 never shrinks.

    Returns:
        The norm after scaling and before shrinking. When it is infinite or no number, the gradients
        are left as they were.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([6.0, 8.0])
    >>> scale_and_clip_gradients([weight], scale=0.5, max_norm=1.0), weight.grad.norm().item()
    (5.0, 1.0)
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = scale * torch.nn.utils.get_total_norm(gradients).item()
    if norm - norm == 0:  # neither infinite nor NaN
        shrink = max_norm / norm if max_norm and norm > max_norm else 1.0
        torch._foreach_mul_(gradients, scale * shrink)
    return norm
