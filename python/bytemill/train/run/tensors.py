"""What a checkpoint keeps of a model and its optimizer: tensors by name, copied out and put back in.

Sharded tensors (FSDP2's DTensors) leave whole and return as this process's share, so a checkpoint knows
nothing of how many processes wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bytemill.errors import CheckpointError, FormatError
from bytemill.model.weight_files import first_not_finite, read_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bytemill.train.optim import AnyOptimizer

__all__ = ["SavedTensors", "first_not_finite", "load_optimizer", "load_weights", "saved_tensors"]


class SavedTensors(NamedTuple):
    """Copies on the CPU, which later steps do not change."""

    model: dict[str, torch.Tensor]
    """The model's tensors under its own names, a shared one once."""
    optimizer: dict[str, torch.Tensor]
    """`<parameter>:<quantity>`, such as `wte.weight:exp_avg`."""


def saved_tensors(
    model: torch.nn.Module, optimizer: AnyOptimizer, *, keep: bool = True, only: Collection[str] | None = None
) -> SavedTensors:
    """Copy everything out.

    Args:
        model: Its `state_dict` is taken.
        optimizer: Its per-parameter tensors are taken.
        keep: False copies nothing, but takes part in gathering what is sharded: all processes must call this.
        only: Names of the model's tensors to copy; None copies all.
    """
    weights = {name: value for name, value in model.state_dict().items() if only is None or name in only}
    names = dict(enumerate(_names(model, optimizer)))
    moments = {
        f"{names[index]}:{quantity}": torch.as_tensor(value)
        for index, quantities in optimizer.state_dict()["state"].items()
        for quantity, value in quantities.items()
    }
    return SavedTensors(
        *(
            {n: t for n, v in named.items() if (t := _copy(v, keep)) is not None}
            for named in (_unshared(weights), moments)
        )
    )


def load_weights(path: Path, model: torch.nn.Module, *, partial: bool = False) -> None:
    """Copy a checkpoint's weights into `model`, on whatever device that is.

    Args:
        path: The checkpoint.
        model: Gets the weights.
        partial: Whether the checkpoint may lack tensors that are frozen in the model: those of its base.

    Raises:
        CheckpointError: The model's tensors have other names or shapes; names the first of them.
    """
    file = path / "model.safetensors"
    saved, own = _load(file), _unshared(model.state_dict())
    if partial:
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        own = {name: tensor for name, tensor in own.items() if name in saved or name in trained}
    if saved.keys() != own.keys():
        odd = sorted(saved.keys() ^ own.keys())[0]
        there, here = ("holds", "lacks") if odd in saved else ("lacks", "has")
        raise CheckpointError(f"{file}: from another model: it {there} {odd}, which this model {here}")
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != saved[name].shape:
                shapes = f"{tuple(saved[name].shape)} there and {tuple(tensor.shape)} in this model"
                raise CheckpointError(f"{file}: from another model: the shape of {name} is {shapes}")
            tensor.copy_(_share(saved[name], tensor))


def load_optimizer(path: Path, model: torch.nn.Module, optimizer: AnyOptimizer) -> None:
    """Give `optimizer` the moments saved in a checkpoint; its settings stay as they are.

    Raises:
        CheckpointError: The checkpoint was trained with other parameters, or by another optimizer; names one.
    """
    file = path / "optimizer.safetensors"
    parameters = dict(model.named_parameters())
    per_parameter: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in _load(file).items():
        name, _, quantity = key.rpartition(":")
        own = parameters.get(name)
        per_parameter.setdefault(name, {})[quantity] = tensor if own is None else _share(tensor, own)
    names = _names(model, optimizer)
    if per_parameter and set(names) != per_parameter.keys():
        odd = sorted(set(names) ^ per_parameter.keys())[0]
        raise CheckpointError(
            f"{file}: different parameters were trained there than now: {odd} is only in one of the two"
        )
    fresh = optimizer.state_dict()
    state = {index: per_parameter[name] for index, name in enumerate(names) if name in per_parameter}
    optimizer.load_state_dict({"state": state, "param_groups": fresh["param_groups"]})


def _copy(tensor: torch.Tensor, keep: bool) -> torch.Tensor | None:
    """The whole tensor on the CPU, in memory of its own."""
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    if not keep:
        return None
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _share(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The part of `whole` that this process holds, where `like` is sharded and of the same shape."""
    if not hasattr(like, "full_tensor") or whole.shape != like.shape:
        return whole
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(like, DTensor)
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def _load(file: Path) -> dict[str, torch.Tensor]:
    try:
        return read_tensors(file)
    except (OSError, FormatError) as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from None


def _unshared(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """One name for each tensor: of tied ones, the first."""
    seen, unique = set(), {}
    for name, tensor in tensors.items():
        local: Any = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        place = (local.data_ptr(), local.shape, local.stride(), local.dtype)
        if local.numel() and place in seen:
            continue
        seen.add(place)
        unique[name] = tensor
    return unique


def _names(model: torch.nn.Module, optimizer: AnyOptimizer) -> list[str]:
    """The parameters' names in the optimizer's order."""
    by_identity = {id(parameter): name for name, parameter in model.named_parameters()}
    return [by_identity[id(p)] for group in optimizer.param_groups for p in group["params"]]
