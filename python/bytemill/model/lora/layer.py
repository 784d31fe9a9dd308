"""LoRA: a frozen linear layer plus a trained low-rank update.

    y = base(x) + scaling * (x @ A.T) @ B.T        scaling = alpha / r

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models". A starts random and B zero, so training starts
from the base model exactly. `lora_by_definition` is that line; `LowRankUpdate.forward` computes it with dropout, in
mixed precision and with DoRA (Liu et al. 2024), which also gives each row of W + scaling * B @ A a trained length.
`LoraLayer` replaces the base layer. It has one update per adapter, by the adapter's name; at most one is active.

Letters: x is (…, in), A (r, in), B (out, r), W (out, in); a transformers `Conv1D` keeps W transposed.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bytemill.model.lora.config import LoraConfig

__all__ = ["DEFAULT_ADAPTER", "LoraLayer", "LowRankUpdate", "is_linear", "linear_weight", "lora_by_definition"]

DEFAULT_ADAPTER = "default"
"""Name of the adapter that `apply_lora` makes."""


def lora_by_definition(x: Tensor, base: nn.Module, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """Return the output of an adapted layer: (…, in) -> (…, out).

    >>> base = nn.Linear(2, 2, bias=False)
    >>> _ = nn.init.eye_(base.weight)
    >>> x, a, b = torch.tensor([1.0, 2.0]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0], [1.0]])
    >>> lora_by_definition(x, base, a, b, scaling=0.5).tolist()
    [1.0, 3.5]
    """
    output: Tensor = base(x) + scaling * (x @ a.T) @ b.T
    return output


def is_linear(module: nn.Module) -> bool:
    """Return whether `module` is an `nn.Linear` or a `Conv1D` of transformers, which has an `nf`."""
    return isinstance(module, nn.Linear) or _is_conv1d(module)


def linear_weight(module: nn.Module) -> Tensor:
    """Return the weight of a linear layer as (out, in), a view."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if _is_conv1d(module) else weight


class LoraLayer(nn.Module):
    """A replacement for `base_layer` with its updates; its training or evaluation mode is that of the base.

    Args:
        base_layer: A linear layer.
        config: The adapter's settings.
        name: The adapter's name.
        module_names: The names of the base in its model, for the patterns in the config.
    """

    def __init__(
        self,
        base_layer: nn.Module,
        config: LoraConfig,
        name: str = DEFAULT_ADAPTER,
        module_names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.weight_is_transposed = _is_conv1d(base_layer)
        self.updates = nn.ModuleDict()  # one `LowRankUpdate` per adapter, by its name
        self.active: str | None = name
        """Name of the active update; if this layer has none of this name, the output is the base's."""
        self.merged = False
        """Whether the base's weight includes the active update."""
        self.enabled = True
        """Whether the active update is added; see `adapter_disabled`."""
        self.training = base_layer.training
        self.add_update(name, config, module_names)

    def forward(self, x: Tensor) -> Tensor:
        """Compute (…, in) -> (…, out)."""
        update = self.active_update
        if update is None or self.merged or not self.enabled:
            plain: Tensor = self.base_layer(x)
            return plain
        x = _in_product_dtype(x)
        base_output: Tensor = self.base_layer(x)
        updated: Tensor = update(x, base_output, self.base_layer)
        return updated

    def add_update(self, name: str, config: LoraConfig, module_names: Sequence[str] = ()) -> None:
        """Add a new update; it has no effect before it is active."""
        self.updates[name] = LowRankUpdate(linear_weight(self.base_layer), config, module_names)
        self.updates.train(self.training)

    @property
    def active_update(self) -> "LowRankUpdate | None":
        """The active update, if this layer has one."""
        if self.active is None or self.active not in self.updates:
            return None
        update = self.updates[self.active]
        assert isinstance(update, LowRankUpdate)
        return update

    @property
    def bias(self) -> nn.Parameter | None:
        """The base's bias."""
        bias = self.base_layer.bias
        assert bias is None or isinstance(bias, nn.Parameter)
        return bias

    @torch.no_grad()
    def merge(self) -> None:
        """Add the active update to the base's weight: same outputs without extra work per token."""
        if self.merged or self.active_update is None:
            return
        self.active_update.merge_into(linear_weight(self.base_layer))
        self.merged = True

    @torch.no_grad()
    def unmerge(self) -> None:
        """Subtract the update again; the base is restored within rounding."""
        if not self.merged or self.active_update is None:
            return
        self.active_update.take_out_of(linear_weight(self.base_layer))
        self.merged = False


class LowRankUpdate(nn.Module):
    """The update of one layer by one adapter: the matrices A and B, and DoRA's row lengths.

    The base keeps its precision. A half-precision base gets an update in fp32, because half precision would lose
    small steps.

    Args:
        weight: (out, in), the base's; only its shape, dtype, device and, for DoRA, its row lengths are used.
        config: The adapter's settings.
        module_names: The names of the layer in its model, for the patterns in the config.
    """

    def __init__(self, weight: Tensor, config: LoraConfig, module_names: Sequence[str] = ()) -> None:
        super().__init__()
        self.config = config
        self.r = config.rank_of(module_names)
        self.lora_alpha = config.alpha_of(module_names)
        self.scaling = config.scaling_of(module_names)
        self.dropout = nn.Dropout(config.lora_dropout)
        dtype = torch.float32 if weight.dtype in (torch.float16, torch.bfloat16) else weight.dtype
        n_out, n_in = weight.shape
        self.lora_A = nn.Parameter(torch.empty(self.r, n_in, dtype=dtype, device=weight.device))
        self.lora_B = nn.Parameter(torch.zeros(n_out, self.r, dtype=dtype, device=weight.device))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))
        self.lora_magnitude_vector: nn.Parameter | None = None
        if config.use_dora:
            self.lora_magnitude_vector = nn.Parameter(_row_lengths(weight.detach().to(dtype)))
        # DoRA's factor for each row while merged: unmerging divides by it.
        self._merged_factor: Tensor | None = None

    def forward(self, x: Tensor, base_output: Tensor, base_layer: nn.Module) -> Tensor:
        """Return the output of the adapted layer, (…, out), from the input and the output of the base layer."""
        dropped = self.dropout(x if torch.is_autocast_enabled(x.device.type) else x.to(self.lora_A.dtype))
        # Scale the narrow tensor: (…, r) instead of (…, out).
        narrow = self.scaling * F.linear(dropped, self.lora_A)
        if self.config.use_dora:
            return base_output + self._dora_update(dropped, narrow, base_output, base_layer).to(base_output.dtype)
        if narrow.dtype != base_output.dtype:
            return base_output + F.linear(narrow, self.lora_B).to(base_output.dtype)
        # One product that accumulates into the base's output, instead of a product and a sum.
        return torch.addmm(base_output.flatten(0, -2), narrow.flatten(0, -2), self.lora_B.T).view(base_output.shape)

    def merge_into(self, weight: Tensor) -> None:
        """Add the update to a base's weight, (out, in)."""
        updated = weight.to(self.lora_A.dtype) + self._delta()
        if self.lora_magnitude_vector is not None:
            self._merged_factor = (self.lora_magnitude_vector / _row_lengths(updated)).unsqueeze(1)
            updated *= self._merged_factor
        weight.copy_(updated)

    def take_out_of(self, weight: Tensor) -> None:
        """Undo `merge_into`."""
        restored = weight.to(self.lora_A.dtype)
        if self._merged_factor is not None:
            restored = restored / self._merged_factor
            self._merged_factor = None
        weight.copy_(restored - self._delta())

    def _delta(self) -> Tensor:
        return self.scaling * (self.lora_B @ self.lora_A)  # (out, in)

    def _dora_update(self, dropped: Tensor, narrow: Tensor, base_output: Tensor, base_layer: nn.Module) -> Tensor:
        """Return the addition to the base's output that gives the rows of W + delta the trained lengths.

        The current lengths are constants in the gradient, as section 4.3 of the paper proposes: this
        saves memory and changes little.
        """
        assert self.lora_magnitude_vector is not None
        weight, bias = linear_weight(base_layer).to(self.lora_A.dtype), base_layer.bias
        assert bias is None or isinstance(bias, Tensor)
        with torch.no_grad():
            lengths = _row_lengths(weight + self._delta())
        factor = self.lora_magnitude_vector / lengths  # (out,)
        if self.config.lora_dropout == 0 or not self.training:
            product = base_output if bias is None else base_output - bias  # no need to multiply twice
        else:
            product = F.linear(dropped, weight)
        return (factor - 1) * product + factor * F.linear(narrow, self.lora_B)


def _in_product_dtype(x: Tensor) -> Tensor:
    """Cast x once; autocast would cast it twice, for the base's product and for A's."""
    device_type = x.device.type
    if x.dtype != torch.float32 or not torch.is_autocast_enabled(device_type):
        return x
    return x.to(torch.get_autocast_dtype(device_type))


def _is_conv1d(module: nn.Module) -> bool:
    if isinstance(module, nn.Linear):
        return False
    weight, width = getattr(module, "weight", None), getattr(module, "nf", None)
    return isinstance(weight, Tensor) and weight.dim() == 2 and weight.shape[1] == width


def _row_lengths(weight: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=1)
    return lengths
