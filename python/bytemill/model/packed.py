"""Faster matrix products for a few rows, for generation on a CPU: weights get a special layout.

Generating reads every weight once per token, so it could run at memory speed. torch's products do not reach it: they
rearrange the weight for their kernels at each call, or read it in a slow order. oneDNN can rearrange it once, before
the first token. Measured on one Zen 5 thread, weights of (50,304, 768), in GB of weights per second:

                        fp32, 1 row   fp32, 8 rows   bf16, 1 row   bf16, 8 rows
    F.linear            14.5          5.2            22.2          10.9
    special layout      22.6          20.2           28.9          18.7

It needs the memory of the weights a second time while it is in use. The layout is that of torch.compile, which torch
has under private names; if they are missing or refuse this processor, ordinary products are used.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

__all__ = ["PackedProducts", "product_dtype"]

_SMALLEST_WEIGHT_BYTES = 1 << 20
"""Minimum bytes of a weight; smaller weights stay in the processor's cache, and nothing is gained."""
_LARGEST_SUM_BYTES = 4 << 30
"""Maximum bytes of all rearranged weights; further weights are used as they are."""


class PackedProducts(TorchFunctionMode):
    """Context in which `F.linear` with a large weight on the CPU uses oneDNN's layout, made on first use.

    A weight that was changed in place is rearranged again: torch counts such changes, and `forget_changed` finds those
    made through `.data`, which torch does not count. Gradients are not supported.

    >>> x, weight = torch.ones(2, 1024), torch.ones(512, 1024)
    >>> with torch.no_grad(), PackedProducts():
    ...     F.linear(x, weight)[0, 0]
    tensor(1024.)
    """

    def __init__(self) -> None:
        super().__init__()
        self._n_bytes = 0
        self._packed: dict[tuple[Any, ...], _Packed] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Intercept every torch function; only `F.linear` is changed."""
        if func is F.linear and not kwargs and len(args) in (2, 3):
            x, weight, bias = (*args, None)[:3]
            packed = self._layout(x, weight)
            if packed is not None:
                dtype = product_dtype(x)
                typed_bias = None if bias is None else bias.to(dtype)
                return torch.ops.mkldnn._linear_pointwise(x.to(dtype), packed, typed_bias, "none", [], "")
        return func(*args, **(kwargs or {}))

    def _layout(self, x: Tensor, weight: Tensor) -> Tensor | None:
        """Return the weight's layout for products with x; None to use the usual product."""
        if x.device.type != "cpu" or weight.nbytes < _SMALLEST_WEIGHT_BYTES:
            return None
        if weight.is_inference():  # torch does not count changes of such a tensor
            return None
        dtype = product_dtype(x)
        # By its memory, not its identity: an expert of a mixture is a new view of one tensor at each call.
        key = weight.data_ptr(), weight.shape, weight.stride(), dtype
        kept = self._packed.get(key)
        if kept is None or kept.version != weight._version:
            self._drop(key)
            if not _has_layout(dtype) or self._n_bytes + weight.nbytes > _LARGEST_SUM_BYTES:
                return None
            self._n_bytes += weight.nbytes
            n_rows = x.numel() // x.shape[-1]
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().to(dtype), n_rows)
            kept = self._packed[key] = _Packed(weight, weight._version, _sample(weight), packed)
        return kept.packed

    def forget_changed(self) -> None:
        """Drop the layouts of changed weights; call it before reusing layouts.

        >>> x, weight, products = torch.ones(1, 1024), torch.ones(512, 1024), PackedProducts()
        >>> with torch.no_grad(), products:
        ...     _ = F.linear(x, weight)
        >>> weight.data += 1
        >>> products.forget_changed()
        >>> with torch.no_grad(), products:
        ...     F.linear(x, weight)[0, 0]
        tensor(2048.)
        """
        for key, kept in list(self._packed.items()):
            if kept.weight._version != kept.version or not torch.equal(_sample(kept.weight), kept.sample):
                self._drop(key)

    def _drop(self, key: tuple[Any, ...]) -> None:
        if key in self._packed:
            self._n_bytes -= self._packed.pop(key).weight.nbytes


class _Packed(NamedTuple):
    """A weight and its layout."""

    weight: Tensor
    """The weight, kept so that its memory is not reused."""
    version: int
    """The number of changes that torch had counted."""
    sample: Tensor
    """Some values of the weight, to notice changes that torch does not count."""
    packed: Tensor


@cache
def _has_layout(dtype: torch.dtype) -> bool:
    """Return whether torch has the layout for products in `dtype` on this processor.

    For bf16, torch refuses it on processors without AVX-512 or AVX-NE-CONVERT, which most laptops are.
    """
    if dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.zeros(16, 16, dtype=dtype), 1)
        torch.ops.mkldnn._linear_pointwise(torch.zeros(1, 16, dtype=dtype), packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return True


def _sample(weight: Tensor) -> Tensor:
    """Return one value of each row, with the columns in turn."""
    rows = torch.arange(weight.shape[0])
    return weight.detach()[rows, rows % weight.shape[1]]


def product_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which `F.linear` multiplies x: its own, or autocast's."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
