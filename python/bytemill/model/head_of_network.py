"""Compute logits from hidden states with the head of any network of transformers.

The network's own forward pass runs with a base model that returns given hidden states. So the architecture's own code
computes a bias, a scale or a soft cap on the logits.

Letters: N rows, C width, V ids.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["has_plain_head", "logits_by_network"]

_LARGE_LOGIT = 1e3
"""Size of the logits for testing a head: a soft cap at 30 or 50 clearly changes them."""


def logits_by_network(network: Any, base_name: str, hidden: Tensor) -> Tensor:
    """Return the logits (N, V) that a network computes from hidden states (N, C).

    Args:
        network: A `…ForCausalLM`; it is not changed.
        base_name: The attribute with its base model.
        hidden: The hidden states of N tokens, as the base model returns them.
    """
    other = copy.copy(network)  # shares all modules but the base
    base = _GivenHiddenStates(hidden[None], getattr(network, base_name))
    other._modules = {**network._modules, base_name: base}
    ids = torch.zeros(1, len(hidden), dtype=torch.long, device=hidden.device)
    logits: Tensor = other(input_ids=ids, use_cache=False).logits[0]
    return logits


def has_plain_head(network: Any, base_name: str) -> bool:
    """Return whether a linear layer without bias computes the network's logits, however large they are."""
    head = network.get_output_embeddings()
    if type(head) is not nn.Linear or head.bias is not None:
        return False
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(4, head.in_features, generator=generator).to(head.weight)
    plain = head(hidden)
    factor = _LARGE_LOGIT / plain.abs().max()
    expected = logits_by_network(network, base_name, factor * hidden)
    return expected.shape == plain.shape and torch.allclose(factor * plain, expected, atol=0.1, rtol=1e-3)


class _GivenHiddenStates(nn.Module):
    """A base model that returns given hidden states for any arguments; its parts do the same."""

    def __init__(self, hidden: Tensor, base: nn.Module) -> None:
        super().__init__()
        self.hidden = hidden
        self._replaced = [base]  # in a list, so that it is not a submodule

    def forward(self, *_: Any, **__: Any) -> _BaseOutput:
        """Return the hidden states in the form of a transformers base model."""
        return _BaseOutput([self.hidden])

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the replaced base; OPT calls its base's decoder."""
        if name in ("hidden", "_replaced"):
            return super().__getattr__(name)
        found = getattr(self._replaced[0], name)
        return self if isinstance(found, nn.Module) else found


class _BaseOutput(tuple[Tensor]):
    """The output of a base model with only the last hidden states; all other fields are None."""

    __slots__ = ()

    @property
    def last_hidden_state(self) -> Tensor:
        """The hidden states, (B, T, C)."""
        return self[0]

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
