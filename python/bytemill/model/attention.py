"""Attention, from its definition to what the model runs: four rungs that give the same numbers.

`self_attention` is the bare idea, `causal_attention` forbids looking ahead, `multi_head_attention` does it in
several small spaces at once, and `CausalSelfAttention` is the module in GPT-2: one product for queries, keys
and values together, and torch's fused kernel, which never writes the (T, T) table to memory, or, where that kernel
is slow, `attend_in_blocks`. The first three are for readers and for the test that all four agree.

Letters: B rows, T tokens, S tokens that can be looked at (S >= T with a cache), C width, D width of a head.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from bytemill.model.cache import KeyValueCache
    from bytemill.model.config import GPT2Config
    from bytemill.model.documents import Documents
    from bytemill.model.gpt2 import GPT2, Block

__all__ = [
    "BLOCK_QUERIES",
    "CausalSelfAttention",
    "WrittenOutAttention",
    "attend_by_products",
    "attend_in_blocks",
    "causal_attention",
    "multi_head_attention",
    "self_attention",
    "write_out_attention",
]


def self_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Each token takes a mean of all values, weighted by how well its query meets their keys.

    Vaswani et al. 2017, section 3.2.1. All arguments and the result are (..., T, D).
    """
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])  # (..., T, T)
    return torch.softmax(scores, dim=-1) @ values


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """As `self_attention`, but no token sees a later one: their scores are -inf, their weights 0."""
    scores = queries @ keys.transpose(-2, -1) / math.sqrt(queries.shape[-1])  # (..., T, T)
    later = torch.ones_like(scores, dtype=torch.bool).triu(diagonal=1)
    return torch.softmax(scores.masked_fill(later, -torch.inf), dim=-1) @ values


def multi_head_attention(queries: Tensor, keys: Tensor, values: Tensor, n_head: int) -> Tensor:
    """Causal attention in `n_head` slices of the width, side by side; all (B, T, C)."""
    slices = (part.chunk(n_head, dim=-1) for part in (queries, keys, values))
    heads = [causal_attention(q, k, v) for q, k, v in zip(*slices, strict=True)]  # n_head x (B, T, D)
    return torch.cat(heads, dim=-1)


class CausalSelfAttention(nn.Module):
    """GPT-2's attention: (B, T, C) -> (B, T, C), each token looking at itself and what came before."""

    def __init__(self, config: GPT2Config) -> None:
        super().__init__()
        self.qkv = nn.Linear(config.n_embd, 3 * config.n_embd, bias=config.qkv_bias)
        self.projection = nn.Linear(config.n_embd, config.n_embd)
        self.residual_dropout = nn.Dropout(config.resid_pdrop)
        self.n_head = config.n_head
        self.dropout = config.attn_pdrop

    def forward(
        self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0, documents: Documents | None = None
    ) -> Tensor:
        """Attend within `x`, or within its `documents`, and to the tokens in `cache` where one is given."""
        n_rows, n_tokens, width = x.shape
        # (B, T, 3C) -> 3 x (B, heads, T, D)
        q, k, v = self.qkv(x).view(n_rows, n_tokens, 3, self.n_head, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            k, v = cache.append(layer, k, v)  # (B, heads, S, D)
        dropout = self.dropout if self.training else 0.0
        if documents is not None:
            mixed = documents.attend(q, k, v, dropout)  # (B, heads, T, D)
        elif cache is not None and n_tokens == 1 and q.device.type == "cpu" and q.dtype == torch.bfloat16:
            mixed = _attend_from_one(q, k, v)
        elif cache is None and q.device.type == "cpu" and q.dtype == torch.bfloat16:
            mixed = attend_in_blocks(q, k, v, dropout)
        else:
            mask = _later_tokens_mask(q.shape[2], k.shape[2], q.device)
            is_causal = mask is None and q.shape[2] > 1
            mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal)
        mixed = mixed.transpose(1, 2).reshape(n_rows, n_tokens, width)  # (B, T, C)
        projected: Tensor = self.residual_dropout(self.projection(mixed))
        return projected


class WrittenOutAttention(CausalSelfAttention):
    """The same numbers without the fused kernel: for the ladder, which measures what the kernel brings."""

    def forward(
        self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0, documents: Documents | None = None
    ) -> Tensor:
        """(B, T, C) -> (B, T, C); without a cache or documents, and without dropout on the scores."""
        assert cache is None, "written out for training alone"
        assert documents is None, "written out for whole samples alone"
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)  # 3 x (B, T, C)
        projected: Tensor = self.projection(multi_head_attention(queries, keys, values, self.n_head))
        return projected


def write_out_attention(model: GPT2) -> GPT2:
    """Take the fused kernel out of every block, in place; the weights stay."""
    for block in cast("list[Block]", model.blocks):
        written_out = WrittenOutAttention(model.config)
        written_out.load_state_dict(block.attention.state_dict())
        block.attention = written_out
    return model


def _attend_from_one(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """What the fused kernel gives for one query (B, heads, 1, D), by two products: in bf16 on a CPU much faster.

    With 8 rows, 12 heads and 80 keys 156 us instead of 721 on one Zen 5 thread, with 400 keys 698 instead of 3,654.
    """
    scores = keys @ (query / math.sqrt(query.shape[-1])).transpose(-2, -1)  # (B, heads, S, 1)
    return torch.softmax(scores.transpose(-2, -1), dim=-1) @ values


BLOCK_QUERIES = 256
"""How many queries attend at once where attention is taken by products."""


def attend_by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """Attention of Q queries (heads, Q, D) to S keys and values (heads, S, D), by two products: (heads, Q, D).

    `mask`, (Q, S) in the queries' dtype, is added to the scores: 0, or -inf where a query may not look. `dropout` is
    the share of the weights that are dropped, from 0 up to 1.

    >>> nothing, values = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0], [5.0, 0.0], [6.0, 0.0]]])
    >>> mask = torch.tensor([[0.0, 0.0, -torch.inf]])
    >>> attend_by_products(nothing, nothing.expand(-1, 3, -1), values, mask, 0.0)
    tensor([[[3., 0.]]])
    """
    masks = mask.expand(queries.shape[0], -1, -1)
    scores = torch.baddbmm(masks, queries, keys.transpose(1, 2), alpha=1 / math.sqrt(queries.shape[-1]))
    weights = F.dropout(torch.softmax(scores, dim=-1), dropout)  # (heads, Q, S)
    return weights @ values


def attend_in_blocks(queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
    """What the fused kernel gives for causal attention, all (B, heads, T, D), by products for some queries at a time.

    In bf16 on a CPU that takes a fifth of the kernel's time for 64 tokens, half for 256 and 55-70 % for 1,024, forward
    and backward (docs/experiments/attention.md); for the way back it keeps some T / 2 weights a query and head.

    >>> q = k = torch.zeros(1, 1, 3, 2)
    >>> attend_in_blocks(q, k, torch.tensor([[[[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]]]]), 0.0)[0, 0, :, 0].tolist()
    [1.0, 1.5, 3.0]
    """
    n_rows, n_head, n_tokens, width = queries.shape
    queries, keys, values = (x.reshape(n_rows * n_head, n_tokens, width) for x in (queries, keys, values))
    mixed: list[Tensor] = []
    end = 0
    while end < n_tokens or not mixed:  # a compiled loop over range() would be compiled anew for each number of tokens
        start, end = end, min(end + BLOCK_QUERIES, n_tokens)
        later = torch.full((end - start, end), -torch.inf, dtype=queries.dtype).triu(diagonal=start + 1)
        mixed.append(attend_by_products(queries[:, start:end], keys[:, :end], values[:, :end], later, dropout))
    return torch.cat(mixed, dim=1).view(n_rows, n_head, n_tokens, width)


def _later_tokens_mask(n_queries: int, n_keys: int, device: torch.device) -> Tensor | None:
    """(T, S), true where a query may look, for several queries behind a cache.

    None where the kernel needs no table: for as many queries as keys it has a causal mode of its own, and a
    single query, the newest token, may look at everything.
    """
    if n_queries in (1, n_keys):
        return None
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril(diagonal=n_keys - n_queries)
