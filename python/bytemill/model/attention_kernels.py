"""Attention in bf16 on CPUs, where torch's fused kernel is slow: the same values by plain matrix products.

`attend_from_one` is for generating one token at a time, `attend_in_blocks` for training and for reading a prompt.
`attend_by_products` is the step that `attend_in_blocks` and packed documents repeat. `attention.py` has the definition
of attention; skip this file on a first reading.

Letters: B rows, T tokens, Q queries, S keys, D width of a head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["BLOCK_QUERIES", "attend_by_products", "attend_from_one", "attend_in_blocks"]

BLOCK_QUERIES = 256
"""Maximum number of queries whose scores are in memory at the same time."""


def attend_from_one(query: Tensor, keys: Tensor, values: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Return the attention of one query (B, heads, 1, D), the newest token's, to keys and values (B, heads, S, D).

    `allowed`, (B, 1, 1, S), is true where it may attend; None means everywhere.

    With 8 rows, 12 heads and 80 keys it takes 156 us instead of 721 on one Zen 5 thread, with 400 keys 698 instead of
    3,654.
    """
    scores = keys @ (query / math.sqrt(query.shape[-1])).transpose(-2, -1)  # (B, heads, S, 1)
    scores = scores.transpose(-2, -1)  # (B, heads, 1, S)
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    return torch.softmax(scores, dim=-1) @ values


def attend_by_products(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor, dropout: float) -> Tensor:
    """Return the attention of Q queries (heads, Q, D) to S keys and values (heads, S, D), as (heads, Q, D).

    `mask`, (Q, S) in the queries' dtype, is added to the scores: 0, or -inf where a query may not attend. `dropout` is
    the fraction of attention weights that are dropped, from 0 to 1.

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
    """Return causal attention by products, `BLOCK_QUERIES` queries at a time; all (B, heads, T, D).

    In bf16 on a CPU it takes a fifth of the fused kernel's time for 64 tokens, half for 256 and 55-70 % for 1,024,
    forward and backward (docs/experiments/attention.md). It keeps about T / 2 weights per query and head for the
    backward pass.

    >>> q = k = torch.zeros(1, 1, 3, 2)
    >>> attend_in_blocks(q, k, torch.tensor([[[[1.0, 0.0], [2.0, 0.0], [6.0, 0.0]]]]), 0.0)[0, 0, :, 0].tolist()
    [1.0, 1.5, 3.0]
    """
    n_rows, n_head, n_tokens, width = queries.shape
    queries, keys, values = (x.reshape(n_rows * n_head, n_tokens, width) for x in (queries, keys, values))
    mixed: list[Tensor] = []
    end = 0
    while end < n_tokens or not mixed:  # torch.compile would recompile a loop over range() for each T
        start, end = end, min(end + BLOCK_QUERIES, n_tokens)
        later = torch.full((end - start, end), -torch.inf, dtype=queries.dtype).triu(diagonal=start + 1)
        mixed.append(attend_by_products(queries[:, start:end], keys[:, :end], values[:, :end], later, dropout))
    return torch.cat(mixed, dim=1).view(n_rows, n_head, n_tokens, width)
