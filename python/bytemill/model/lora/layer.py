"""A linear layer with a low-rank update beside it: y = base(x) + scaling * dropout(x) A^T B^T.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". A is random and B zero, so training
starts from the base model exactly. With DoRA (Liu et al. 2024) each row of W + scaling * BA is also brought
to a learned length.

Letters: x is (…, in), A (r, in), B (out, r), W (out, in); a transformers `Conv1D` keeps W transposed.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bytemill.model.lora.config import LoraConfig

__all__ = ["LoraLayer", "is_linear", "linear_weight"]


def is_linear(module: nn.Module) -> bool:
    """Whether `module` is an `nn.Linear`, or a `Conv1D` of transformers, told by its `nf`."""
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def linear_weight(module: nn.Module) -> Tensor:
    """The weight of a linear layer as (out, in), whichever way it is kept; a view."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if _is_conv1d(module) else weight


class LoraLayer(nn.Module):
    """Stands in the place of `base_layer` and holds the adapter's tensors.

    The base's own precision is left alone; a half-precision base gets an adapter in fp32, as small updates
    would be rounded away.
    """

    def __init__(self, base_layer: nn.Module, config: LoraConfig) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.config = config
        self.weight_is_transposed = _is_conv1d(base_layer)
        self.merged = False
        self.dropout = nn.Dropout(config.lora_dropout)
        weight = linear_weight(self.base_layer)
        dtype = torch.float32 if weight.dtype in (torch.float16, torch.bfloat16) else weight.dtype
        n_out, n_in = weight.shape
        self.lora_A = nn.Parameter(torch.empty(config.r, n_in, dtype=dtype, device=weight.device))
        self.lora_B = nn.Parameter(torch.zeros(n_out, config.r, dtype=dtype, device=weight.device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.lora_magnitude_vector: nn.Parameter | None = None
        if config.use_dora:
            self.lora_magnitude_vector = nn.Parameter(_row_lengths(weight.detach().to(dtype)))
        # DoRA's factor a row while it is merged, as unmerging has to undo it.
        self._merged_factor: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        base: Tensor = self.base_layer(x)
        if self.merged:
            return base
        update = self._dora_update(x, base) if self.config.use_dora else self._low_rank(self._dropped(x))
        return base + update.to(base.dtype)

    @property
    def bias(self) -> nn.Parameter | None:
        """The base's bias."""
        bias = self.base_layer.bias
        assert bias is None or isinstance(bias, nn.Parameter)
        return bias

    def adapter_parameters(self) -> dict[str, nn.Parameter]:
        """A, B and, with DoRA, the magnitudes."""
        parameters = {"lora_A": self.lora_A, "lora_B": self.lora_B}
        if self.lora_magnitude_vector is not None:
            parameters["lora_magnitude_vector"] = self.lora_magnitude_vector
        return parameters

    @torch.no_grad()
    def merge(self) -> None:
        """Put the update into the base's weight: same outputs, no extra work a token."""
        if self.merged:
            return
        weight = linear_weight(self.base_layer)
        updated = weight.to(self.lora_A.dtype) + self._delta()
        if self.lora_magnitude_vector is not None:
            self._merged_factor = (self.lora_magnitude_vector / _row_lengths(updated)).unsqueeze(1)
            updated *= self._merged_factor
        weight.copy_(updated)
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Take the update out again; the base comes back within rounding."""
        if not self.merged:
            return
        weight = linear_weight(self.base_layer)
        restored = weight.to(self.lora_A.dtype)
        if self._merged_factor is not None:
            restored = restored / self._merged_factor
            self._merged_factor = None
        weight.copy_(restored - self._delta())
        self.merged = False

    def _dropped(self, x: Tensor) -> Tensor:
        dropped: Tensor = self.dropout(x.to(self.lora_A.dtype))
        return dropped

    def _low_rank(self, x: Tensor) -> Tensor:
        return self.config.scaling * F.linear(F.linear(x, self.lora_A), self.lora_B)

    def _delta(self) -> Tensor:
        return self.config.scaling * (self.lora_B @ self.lora_A)  # (out, in)

    def _dora_update(self, x: Tensor, base: Tensor) -> Tensor:
        """What to add to the base's output so that the rows of W + delta get the learned lengths.

        The present lengths count as constants in the gradient, as section 4.3 of the paper proposes: it
        saves memory and changes little.
        """
        assert self.lora_magnitude_vector is not None
        dropped = self._dropped(x)
        weight = linear_weight(self.base_layer).to(self.lora_A.dtype)
        with torch.no_grad():
            lengths = _row_lengths(weight + self._delta())
        factor = self.lora_magnitude_vector / lengths  # (out,)
        if self.config.lora_dropout == 0 or not self.training:
            product = base if self.bias is None else base - self.bias  # no need to multiply twice
        else:
            product = F.linear(dropped, weight)
        return (factor - 1) * product + factor * self._low_rank(dropped)


def _is_conv1d(module: nn.Module) -> bool:
    if isinstance(module, nn.Linear):
        return False
    weight, width = getattr(module, "weight", None), getattr(module, "nf", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and weight.shape[1] == width


def _row_lengths(weight: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1)
    return lengths
