"""Attention that stays within documents, for samples with several documents.

Without it a token also attends to earlier documents in the same sample. With it a document has the same hidden states
as it would have alone: its tokens attend only to each other, and positions count from its first token.

Letters: B rows, T tokens, N = B * T, D width of a head, n pieces (a document, or its part in
a row), Q queries of a block, S keys that the block attends to.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F

from bytemill.model.attention_kernels import BLOCK_QUERIES, attend_by_products

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Documents"]


class Documents:
    """The documents of a batch, and attention within them.

    Args:
        cu_seqlens: (n + 1,) int32, the starts of the pieces among the N tokens, followed by N. Further N's at the end
            are allowed, so that all batches can have the same length. Flash attention and `TokenLoader` use this form.
        n_rows: B.
        n_tokens: T; every row begins a piece.

    >>> Documents(torch.tensor([0, 3, 4, 8, 8]), n_rows=2, n_tokens=4).positions.tolist()
    [[0, 1, 2, 0], [0, 1, 2, 3]]
    """

    def __init__(self, cu_seqlens: Tensor, *, n_rows: int, n_tokens: int) -> None:
        places = torch.arange(n_rows * n_tokens, device=cu_seqlens.device, dtype=cu_seqlens.dtype)  # (N,)
        piece = torch.searchsorted(cu_seqlens, places, right=True) - 1  # (N,)
        self.positions = (places - cu_seqlens[piece]).view(n_rows, n_tokens)  # (B, T)
        self._cu_seqlens, self._piece = cu_seqlens, piece.view(n_rows, n_tokens)
        self._mask: Tensor | None = None
        self._blocks: list[list[_Block]] | None = None

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """Return causal attention within each document; all (B, heads, T, D).

        If flash attention is available, it processes only the pieces. In bf16 on a CPU each row is processed in blocks
        of queries, with the keys from the start of the first query's document. Otherwise a mask restricts attention,
        and the cost is that of whole rows.
        """
        if dropout == 0 and _flash_takes(queries):
            return self._by_pieces(queries, keys, values)
        if _products_take(queries):
            return self._by_blocks(queries, keys, values, dropout)
        return F.scaled_dot_product_attention(queries, keys, values, self._table(), dropout)

    def _by_pieces(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        n_rows, n_heads, n_tokens, width = queries.shape
        q, k, v = (
            part.transpose(1, 2).reshape(-1, n_heads, width) for part in (queries, keys, values)
        )  # (N, heads, D)
        ends = self._cu_seqlens
        mixed = _attention_of_pieces()(q, k, v, ends, ends, n_tokens, n_tokens, window_size=(-1, 0))
        assert isinstance(mixed, torch.Tensor)
        return mixed.view(n_rows, n_tokens, n_heads, width).transpose(1, 2)

    def _by_blocks(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        if self._blocks is None:  # made by the first layer for all layers
            self._blocks = [self._blocks_of_row(row, queries.dtype) for row in range(len(queries))]
        rows = []
        for q, k, v, blocks in zip(queries, keys, values, self._blocks, strict=True):  # (heads, T, D)
            pairs = zip(q.split(BLOCK_QUERIES, dim=1), blocks, strict=True)
            mixed = [attend_by_products(part, k[:, seen], v[:, seen], mask, dropout) for part, (seen, mask) in pairs]
            rows.append(torch.cat(mixed, dim=1))
        return torch.stack(rows)

    def _blocks_of_row(self, row: int, dtype: torch.dtype) -> list[_Block]:
        piece, n_tokens, blocks = self._piece[row], self._piece.shape[1], []
        for start in range(0, n_tokens, BLOCK_QUERIES):
            first, end = start - int(self.positions[row, start]), min(start + BLOCK_QUERIES, n_tokens)
            may_look = (piece[start:end, None] == piece[None, first:end]).tril(start - first)
            mask = torch.zeros_like(may_look, dtype=dtype).masked_fill_(~may_look, -torch.inf)
            blocks.append(_Block(slice(first, end), mask))
        return blocks

    def _table(self) -> Tensor:
        """Return (B, 1, T, T), true where a token may attend: in its own document, and not to later tokens."""
        if self._mask is None:
            same = self._piece[:, :, None] == self._piece[:, None, :]
            self._mask = same.tril().unsqueeze(1)
        return self._mask


class _Block(NamedTuple):
    """A block of queries of a row and the keys that they attend to."""

    keys: slice
    """The keys from the start of the first query's document to the last query."""
    mask: Tensor
    """(Q, S), 0 where a query may attend, else -inf."""


@functools.cache
def _attention_of_pieces() -> Any:
    """Return torch's flash attention over pieces, or None before torch 2.11 (2.10 has another causal option).

    It is imported only for a GPU, because it imports everything for torch.compile, which takes as long as torch
    itself.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if "window_size" in inspect.signature(varlen_attn).parameters else None


def _flash_takes(queries: Tensor) -> bool:
    """Return whether flash attention works: half precision, head widths 8, 16, … 256, on an Ampere or later GPU."""
    half, width = queries.dtype in (torch.float16, torch.bfloat16), queries.shape[-1]
    if not (queries.is_cuda and half and width % 8 == 0 and width <= 256):
        return False
    return _attention_of_pieces() is not None and torch.cuda.get_device_capability(queries.device) >= (8, 0)


def _products_take(queries: Tensor) -> bool:
    """Return whether to use products: in bf16 on a CPU, not compiled, because block starts would be constants."""
    slow = queries.device.type == "cpu" and queries.dtype == torch.bfloat16
    return slow and queries.numel() > 0 and not torch.compiler.is_compiling()
