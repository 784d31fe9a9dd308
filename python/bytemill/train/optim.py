"""The optimizers: AdamW, or Muon for the blocks' matrices with AdamW for the rest.

Weight decay pulls weights towards zero. For biases and norm gains, zero is not a simpler value than others, so only
tensors of two or more dimensions decay (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019; GPT-2 and
GPT-3 group their parameters in this way).

Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) replaces the momentum of a matrix
by the nearest orthogonal matrix, so that all directions get updates of the same size. Its updates are scaled to the
size of AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025), so both use the same learning rate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bytemill.train.config import TrainConfig

__all__ = ["AnyOptimizer", "Optimizers", "build_optimizer", "largest_gradient", "scale_and_clip_gradients"]

_FUSED_DEVICES = ("cuda", "cpu")


def build_optimizer(
    parameters: Iterable[torch.nn.Parameter],
    settings: TrainConfig,
    *,
    hidden_matrices: Collection[torch.nn.Parameter] = (),
) -> AnyOptimizer:
    """Return the optimizer that `settings.optimizer` names; AdamW is fused if the device supports it.

    Args:
        parameters: All parameters to train.
        settings: Learning rate, weight decay and betas.
        hidden_matrices: The `parameters` that Muon may update: matrices between two hidden layers, but not embeddings
            or heads.

    Raises:
        ConfigError: The optimizer is Muon, but this torch lacks it or there is no matrix for it to update.

    >>> from bytemill.train.config import TrainConfig
    >>> optimizer = build_optimizer(torch.nn.Linear(3, 2).parameters(), TrainConfig())
    >>> [group["weight_decay"] for group in optimizer.param_groups]
    [0.1, 0.0]
    """
    parameters = list(parameters)
    if settings.optimizer == "adamw":
        return _adamw(parameters, settings)
    if not hasattr(torch.optim, "Muon"):
        raise ConfigError(
            f"train.optimizer is muon, which torch {torch.__version__} does not have; it needs torch 2.9 or newer"
        )
    chosen = {id(p) for p in hidden_matrices}
    matrices = [p for p in parameters if id(p) in chosen and p.dim() == 2]
    if not matrices:
        raise ConfigError("train.optimizer is muon, but no matrix between hidden layers is trained; use adamw")
    moved = {id(p) for p in matrices}
    muon = torch.optim.Muon(
        matrices,
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        momentum=settings.muon_momentum,
        adjust_lr_fn="match_rms_adamw",
    )
    rest = [p for p in parameters if id(p) not in moved]  # none under LoRA, whose factors are all matrices
    return Optimizers([*([_adamw(rest, settings)] if rest else []), muon])


class Optimizers:
    """Several optimizers over separate parameters, with the interface of a single one."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts, in order; changing one changes its part."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Update all weights."""
        for part in self.parts:
            part.step()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Reset all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the state in the format of one optimizer over all groups, with parameters numbered consecutively."""
        state: dict[int, Any] = {}
        groups, first = [], 0
        for part in self.parts:
            own = part.state_dict()
            state |= {first + index: quantities for index, quantities in own["state"].items()}
            groups += [
                group | {"params": [first + index for index in group["params"]]} for group in own["param_groups"]
            ]
            first += _n_parameters(part)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Restore a state from `state_dict`."""
        first = n_groups = 0
        for part in self.parts:
            last = first + _n_parameters(part)
            groups = saved["param_groups"][n_groups : n_groups + len(part.param_groups)]
            own_groups = [group | {"params": [index - first for index in group["params"]]} for group in groups]
            own_state = {index - first: state for index, state in saved["state"].items() if first <= index < last}
            part.load_state_dict({"state": own_state, "param_groups": own_groups})
            first, n_groups = last, n_groups + len(part.param_groups)


AnyOptimizer = torch.optim.Optimizer | Optimizers
"""An optimizer of torch, or several combined."""


@torch.no_grad()
def scale_and_clip_gradients(parameters: Iterable[torch.nn.Parameter], scale: float, max_norm: float) -> float:
    """Multiply every gradient by `scale`, then clip all of them together to a norm of `max_norm`.

    Args:
        parameters: Parameters; those without a gradient are skipped.
        scale: Factor that turns summed gradients into means, 1 / total weight.
        max_norm: Maximum norm of all gradients as one vector; 0 never clips.

    Returns:
        The norm after scaling and before clipping. If it is NaN or infinite, the gradients are not changed.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([6.0, 8.0])
    >>> scale_and_clip_gradients([weight], scale=0.5, max_norm=1.0), weight.grad.norm().item()
    (5.0, 1.0)
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = scale * _whole(torch.nn.utils.get_total_norm(gradients)).item()
    if norm - norm == 0:  # neither infinite nor NaN
        shrink = max_norm / norm if max_norm and norm > max_norm else 1.0
        torch._foreach_mul_(gradients, scale * shrink)
    return norm


@torch.no_grad()
def largest_gradient(parameters: Iterable[torch.nn.Parameter], scale: float = 1.0) -> float:
    """Return the largest absolute entry of all gradients, times `scale`; 0 without any.

    >>> weight = torch.nn.Parameter(torch.zeros(2))
    >>> weight.grad = torch.tensor([6.0, -8.0])
    >>> largest_gradient([weight], scale=0.5)
    4.0
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    largest: float = _whole(torch.nn.utils.get_total_norm(gradients, norm_type=float("inf"))).item()
    return scale * largest


def _adamw(parameters: list[torch.nn.Parameter], settings: TrainConfig) -> torch.optim.AdamW:
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


def _whole(norm: torch.Tensor) -> torch.Tensor:
    """Return a norm over all processes, also if the gradients are sharded (DTensor)."""
    whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole


def _n_parameters(optimizer: torch.optim.Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
