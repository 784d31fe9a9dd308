"""The weights of a GPT-2 for a page: int8 rows with a scale each, and vectors in float32.

A row's scale is its largest weight divided by 127, so rounding moves a weight by at most half a scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bytemill.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from bytemill.model import GPT2

__all__ = ["PackedWeights", "int8_rows", "packed_weights"]

_MAX_INT8 = 127
_TABLES = ("token_embedding.weight", "head.weight")


class PackedWeights(NamedTuple):
    """All tensors in two blocks of bytes."""

    layout: dict[str, dict[str, Any]]
    """For each tensor its shape, its first number, and for a matrix its first row: places in the two blocks."""
    numbers: bytes
    """Vectors, and the scales of matrices: float32, little-endian."""
    rows: bytes
    """Matrices, row after row: int8."""


def packed_weights(model: GPT2, n_ids: int) -> PackedWeights:
    """Round the matrices of a model to int8 and pack all its tensors.

    Args:
        model: A plain GPT-2; adapters must be merged into it before.
        n_ids: Number of rows to keep of the token embedding and of the head.

    Raises:
        ConfigError: A weight is NaN or infinite; the message names its tensor.
    """
    layout: dict[str, dict[str, Any]] = {}
    numbers, rows = bytearray(), bytearray()
    for name, tensor in _tensors(model, n_ids).items():
        if not tensor.isfinite().all():
            raise ConfigError(f"{name}: some weights are NaN or infinite; export an earlier checkpoint")
        layout[name] = {"shape": list(tensor.shape), "number": len(numbers) // 4}
        vector = tensor
        if tensor.dim() == 2:
            layout[name]["row"] = len(rows)
            int8, vector = int8_rows(tensor)
            rows += int8.numpy().tobytes()
        numbers += vector.numpy().astype("<f4").tobytes()
    return PackedWeights(layout, bytes(numbers), bytes(rows))


def int8_rows(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return a matrix (R, C) as int8 (R, C) and scales (R,) in float32: the weights are about int8 * scale.

    >>> rows, scales = int8_rows(torch.tensor([[-254.0, 0.9], [0.0, 0.0]]))
    >>> rows.tolist(), scales.tolist()
    ([[-127, 0], [0, 0]], [2.0, 0.0])
    """
    scales = matrix.abs().amax(dim=1) / _MAX_INT8
    steps = matrix / scales.where(scales > 0, 1.0)[:, None]
    return steps.round().clamp(-_MAX_INT8, _MAX_INT8).to(torch.int8), scales


def _tensors(model: GPT2, n_ids: int) -> dict[str, Tensor]:
    """Return the tensors by name, with zeros for biases that the model does not have."""
    found = {name: parameter.detach().float().cpu().contiguous() for name, parameter in model.named_parameters()}
    for name in found.keys() & set(_TABLES):
        found[name] = found[name][:n_ids]
    if not model.config.qkv_bias:
        for block in range(model.config.n_layer):
            found[f"blocks.{block}.attention.qkv.bias"] = torch.zeros(3 * model.config.n_embd)
    return found
