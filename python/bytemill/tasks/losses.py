"""The losses of preference tuning: a loss per pair from the log-probabilities of two answers to one prompt.

Each loss takes four tensors (B,): the log-probabilities of the chosen and of the rejected answer, under the policy (the
model that is trained) and under the reference (the frozen model before tuning). `preference_losses` lists them by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

from torch import Tensor
from torch.nn import functional as F

__all__ = ["PreferenceLoss", "dpo_loss", "preference_losses"]


def dpo_loss(
    policy_chosen: Tensor,
    policy_rejected: Tensor,
    reference_chosen: Tensor,
    reference_rejected: Tensor,
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return the DPO loss (B,): -log sigmoid(reward of the chosen answer - reward of the rejected answer).

    The reward of an answer is beta (log p_policy - log p_reference). Direct Preference Optimization, Rafailov et al.
    2023, equation 7. At the first step policy and reference are the same model, and the loss is ln 2.

    Args:
        policy_chosen: (B,) log-probabilities of the chosen answers under the policy.
        policy_rejected: (B,) log-probabilities of the rejected answers under the policy.
        reference_chosen: (B,) log-probabilities of the chosen answers under the reference.
        reference_rejected: (B,) log-probabilities of the rejected answers under the reference.
        beta: Penalty for moving away from the reference; higher values stay closer.
        label_smoothing: Assumed fraction of pairs with swapped labels, 0 to 0.5 ("conservative DPO", Mitchell 2023).

    >>> import torch
    >>> chosen, rejected = torch.tensor([-3.0]), torch.tensor([-5.0])
    >>> dpo_loss(chosen, rejected, chosen, rejected, beta=0.1)
    tensor([0.6931])
    >>> dpo_loss(chosen + 10, rejected - 10, chosen, rejected, beta=0.1)
    tensor([0.1269])
    """
    chosen_reward = beta * (policy_chosen - reference_chosen)
    rejected_reward = beta * (policy_rejected - reference_rejected)
    margin = chosen_reward - rejected_reward
    losses = -F.logsigmoid(margin)
    if label_smoothing:  # a pair with swapped labels has the opposite margin
        losses = losses * (1 - label_smoothing) - F.logsigmoid(-margin) * label_smoothing
    return losses


class PreferenceLoss(Protocol):
    """A function that computes one loss per pair from the four log-probabilities."""

    def __call__(
        self,
        policy_chosen: Tensor,
        policy_rejected: Tensor,
        reference_chosen: Tensor,
        reference_rejected: Tensor,
        *,
        beta: float,
        label_smoothing: float = 0.0,
    ) -> Tensor:
        """Return the losses, (B,), in nats."""


preference_losses: Mapping[str, PreferenceLoss] = MappingProxyType({"sigmoid": dpo_loss})
"""The losses by the names that trl uses."""
