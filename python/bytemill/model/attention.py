"""Attention in four steps, from the definition to the code that the model runs; all compute the same values.

1. `self_attention`: each token gets a weighted mean of all values.
2. `causal_attention`: no token sees a later one.
3. `multi_head_attention`: the same in several slices of the model width.
4. `CausalSelfAttention`: the module in GPT-2. One product computes queries, keys and values; torch's fused kernel does
   the rest without writing the (T, T) table to memory. In bf16 on CPUs that kernel is slow, and `attention_kernels.py`
   replaces it.

The first three are for readers, and a test compares all four.

Letters: B rows, T tokens, S tokens that can be attended to (S >= T with a cache), C width, D width of a head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bytemill.model.attention_kernels import attend_from_one, attend_in_blocks

if TYPE_CHECKING:
    from bytemill.model.cache import AnyCache
    from bytemill.model.config import GPT2Config
    from bytemill.model.documents import Documents
    from bytemill.model.gpt2 import GPT2, Block

__all__ = [
    "CausalSelfAttention",
    "WrittenOutAttention",
    "causal_attention",
    "multi_head_attention",
    "self_attention",
    "write_out_attention",
]


def self_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return for each token the mean of all values, weighted by the match of its query with their keys.

    Vaswani et al. 2017, section 3.2.1. All arguments and the result are (..., T, D).
    """
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])  # (..., T, T)
    return torch.softmax(scores, dim=-1) @ values


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return `self_attention` without later tokens: their scores are -inf, so their weights are 0."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])  # (..., T, T)
    later = torch.ones_like(scores, dtype=torch.bool).triu(diagonal=1)
    return torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1) @ values


def multi_head_attention(queries: Tensor, keys: Tensor, values: Tensor, n_head: int) -> Tensor:
    """Return causal attention computed separately in `n_head` slices of the width; all (B, T, C)."""
    slices = (part.chunk(n_head, dim=-1) for part in (queries, keys, values))
    heads = [causal_attention(q, k, v) for q, k, v in zip(*slices, strict=True)]  # n_head x (B, T, D)
    return torch.cat(heads, dim=-1)


class CausalSelfAttention(nn.Module):
    """GPT-2's attention, (B, T, C) -> (B, T, C): each token attends to itself and earlier tokens."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.qkv_bias)
        self.projection = nn.Linear(config.n_embd, config.n_embd)
        self.residual_dropout = nn.Dropout(config.resid_pdrop)
        self.n_head = config.n_head
        self.dropout = config.attn_pdrop

    def forward(
        self, x: Tensor, cache: AnyCache | None = None, layer: int = 0, documents: Documents | None = None
    ) -> Tensor:
        """Attend within `x`, or within its `documents`, and to the tokens in `cache` if one is given."""
        n_rows, n_tokens, width = x.shape
        # (B, T, 3C) -> (B, T, 3, heads, D) -> (3, B, heads, T, D) -> 3 x (B, heads, T, D)
        q, k, v = self.qkv(x).view(n_rows, n_tokens, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        allowed = None
        if cache is not None:
            allowed = cache.allowed(n_tokens, x.device)
            k, v = cache.append(layer, k, v)  # (B, heads, S, D)
        dropout = self.dropout if self.training else 0.0
        if documents is not None:
            mixed = documents.attend(q, k, v, dropout)  # (B, heads, T, D)
        elif cache is not None and n_tokens == 1 and q.device.type == "cpu" and q.dtype == torch.bfloat16:
            mixed = attend_from_one(q, k, v, allowed)
        elif cache is None and q.device.type == "cpu" and q.dtype == torch.bfloat16:
            mixed = attend_in_blocks(q, k, v, dropout)
        else:
            is_causal = allowed is None and n_tokens > 1
            mixed = F.scaled_dot_product_attention(q, k, v, allowed, dropout, is_causal)
        mixed = mixed.transpose(1, 2).reshape(n_rows, n_tokens, width)  # (B, T, C)
        projected: Tensor = self.residual_dropout(self.projection(mixed))
        return projected


class WrittenOutAttention(CausalSelfAttention):
    """The same attention without the fused kernel, for `bytemill ladder`, which times a step with and without it."""

    def forward(
        self, x: Tensor, cache: AnyCache | None = None, layer: int = 0, documents: Documents | None = None
    ) -> Tensor:
        """Compute (B, T, C) -> (B, T, C), without a cache, documents or dropout on the scores."""
        assert cache is None, "written out for training alone"
        assert documents is None, "written out for whole samples alone"
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)  # 3 x (B, T, C)
        projected: Tensor = self.projection(multi_head_attention(queries, keys, values, self.n_head))
        return projected


def write_out_attention(model: GPT2) -> GPT2:
    """Replace the fused kernel in every block, in place; the weights stay."""
    for block in cast("list[Block]", model.blocks):
        written_out = WrittenOutAttention(model.config)
        written_out.load_state_dict(block.attention.state_dict())
        block.attention = written_out
    return model
