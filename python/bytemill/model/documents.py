"""Attention that stays within documents, when several of them lie in one sample.

Without it a token also looks at the documents that happen to stand before its own. With it a document gets the
numbers that it would get alone: its tokens see each other only, and its positions are counted from its first token.

Letters: B rows, T tokens, N = B * T, D width of a head, n pieces (a document, or what of it lies in a row).
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Documents"]


class Documents:
    """Where the documents of a batch begin, and attention within them.

    Args:
        cu_seqlens: (n + 1,) int32, where the pieces begin among the N tokens, and N; further N's at the end do no harm,
            so that all batches can have one length. This is flash attention's form, and `TokenLoader`'s.
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

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor, dropout: float) -> Tensor:
        """Causal attention within each document; all (B, heads, T, D).

        Where flash attention can, it works through the pieces alone; elsewhere a table says who may look where, and
        the work is that of whole rows.
        """
        if dropout == 0 and _flash_takes(queries):
            return self._by_pieces(queries, keys, values)
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

    def _table(self) -> Tensor:
        """(B, 1, T, T), true where a token may look: at its own document, and not ahead."""
        if self._mask is None:
            same = self._piece[:, :, None] == self._piece[:, None, :]
            self._mask = same.tril().unsqueeze(1)
        return self._mask


@functools.cache
def _attention_of_pieces() -> Any:
    """Torch's flash attention over pieces; None before torch 2.11, as 2.10 had another option for the causal mask.

    Imported when a GPU wants it: it brings all that torch.compile needs, which takes as long as torch itself.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if "window_size" in inspect.signature(varlen_attn).parameters else None


def _flash_takes(queries: Tensor) -> bool:
    """Half precision, heads of 8, 16, … 256 numbers, on a GPU from Ampere on."""
    half, width = queries.dtype in (torch.float16, torch.bfloat16), queries.shape[-1]
    if not (queries.is_cuda and half and width % 8 == 0 and width <= 256):
        return False
    return _attention_of_pieces() is not None and torch.cuda.get_device_capability(queries.device) >= (8, 0)
