"""What moves the weights: AdamW, or Muon for the blocks' matrices with AdamW for the rest.

Decay pulls weights towards zero. For biases, norms' gains and the like zero is no simpler value than
another, so only tensors of two or more dimensions decay (Loshchilov and Hutter, "Decoupled weight
decay regularization", 2019; the grouping is GPT-2's and GPT-3's practice).

Muon (Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024) replaces a matrix's
momentum by the nearest orthogonal matrix, so that every direction moves alike. Its steps are scaled to
the size of AdamW's (Liu et al., "Muon is Scalable for LLM Training", 2025), so one learning rate serves both.
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
    """The optimizer that `settings.optimizer` names; AdamW in one fused kernel where the device has one.

    Args:
        parameters: All that train.
        settings: Rates, decay, moments.
        hidden_matrices: Those of `parameters` that Muon may move: between two hidden layers, not embeddings
            and not heads.

    Raises:
        ConfigError: Muon is asked for, and this torch has none, or nothing is there for it to move.

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
        raise ConfigError("train.optimizer is muon, but no matrix between hidden layers is trained here; use adamw")
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
    """Several optimizers, each over parameters of its own, behind the face of one."""

    def __init__(self, parts: list[torch.optim.Optimizer]) -> None:
        self.parts = parts

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of all parts, in order; changing one changes its part."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Move all weights."""
        for part in self.parts:
            part.step()

    def zero_grad(self, *, set_to_none: bool = True) -> None:
        """Drop all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """As one optimizer over all groups would give it: parameters numbered through."""
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
        """Take what `state_dict` gave."""
        first = n_groups = 0
        for part in self.parts:
            last = first + _n_parameters(part)
            groups = saved["param_groups"][n_groups : n_groups + len(part.param_groups)]
            own_groups = [group | {"params": [index - first for index in group["params"]]} for group in groups]
            own_state = {index - first: state for index, state in saved["state"].items() if first <= index < last}
            part.load_state_dict({"state": own_state, "param_groups": own_groups})
            first, n_groups = last, n_groups + len(part.param_groups)


AnyOptimizer = torch.optim.Optimizer | Optimizers
"""What moves the weights, in one part or several."""


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
    """A norm over all processes, where the gradients are sharded over them (DTensor)."""
    whole: torch.Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return whole


def _n_parameters(optimizer: torch.optim.Optimizer) -> int:
    return sum(len(group["params"]) for group in optimizer.param_groups)
