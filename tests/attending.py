"""Runs several attention functions on the same inputs, and returns results and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def forward_and_backward(
    ways: Iterable[Callable[..., torch.Tensor]], n_tokens: int, dtype: torch.dtype = torch.float32
) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
    """Return the result of each function and the gradient of queries, keys and values (2 rows, 3 heads)."""
    torch.manual_seed(0)
    qkv, above = torch.randn(3, 2, 3, n_tokens, 8, dtype=dtype), torch.randn(2, 3, n_tokens, 8, dtype=dtype)
    results = []
    for way in ways:
        leaf = qkv.clone().requires_grad_()
        mixed = way(*leaf)
        mixed.backward(above)
        results.append((mixed, leaf.grad))
    return results
