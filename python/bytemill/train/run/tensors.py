"""Copies the tensors of a model and its optimizer out for a checkpoint, and loads them back.

Sharded tensors (FSDP2's DTensors) are gathered before saving and split again when loading, so a checkpoint does not
depend on the number of processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from bytemill.errors import CheckpointError, FormatError
from bytemill.model.lora.layer import DEFAULT_ADAPTER
from bytemill.model.weight_files import first_not_finite, read_tensors

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from bytemill.train.optim import AnyOptimizer

__all__ = ["SavedTensors", "first_not_finite", "load_optimizer", "load_weights", "saved_tensors"]


class SavedTensors(NamedTuple):
    """Copies on the CPU that later steps do not change."""

    model: dict[str, torch.Tensor]
    """The model's tensors under its own names; a shared tensor once."""
    optimizer: dict[str, torch.Tensor]
    """`<parameter>:<quantity>`, such as `wte.weight:exp_avg`."""


def saved_tensors(
    model: torch.nn.Module, optimizer: AnyOptimizer, *, keep: bool = True, only: Collection[str] | None = None
) -> SavedTensors:
    """Copy the tensors of model and optimizer to the CPU. All processes must call this.

    Args:
        model: Model whose `state_dict` is copied.
        optimizer: Optimizer whose per-parameter tensors are copied.
        keep: False copies nothing, but takes part in gathering sharded tensors.
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


def load_weights(path: Path, model: torch.nn.Module, *, partial: bool = False, adapter: str = DEFAULT_ADAPTER) -> None:
    """Copy a checkpoint's weights into `model`, on the model's device.

    Args:
        path: Folder of the checkpoint.
        model: Model that gets the weights.
        partial: Whether the checkpoint may lack tensors that are frozen in the model, such as those of its base.
        adapter: Name of the adapter of `model` that gets the weights of the checkpoint's adapter.

    Raises:
        CheckpointError: The model's tensors have other names or shapes; the error names the first.
    """
    file = path / "model.safetensors"
    saved, own = _load(file), _unshared(model.state_dict())
    saved = {name.replace(f".updates.{DEFAULT_ADAPTER}.", f".updates.{adapter}."): saved[name] for name in saved}
    if partial:
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        own = {name: tensor for name, tensor in own.items() if name in saved or name in trained}
    if saved.keys() != own.keys():
        odd = sorted(saved.keys() ^ own.keys())[0]
        there, here = ("contains", "lacks") if odd in saved else ("lacks", "has")
        raise CheckpointError(f"{file}: from another model: it {there} {odd}, which this model {here}")
    with torch.no_grad():
        for name, tensor in own.items():
            if tensor.shape != saved[name].shape:
                shapes = f"{tuple(saved[name].shape)} in the file and {tuple(tensor.shape)} in this model"
                raise CheckpointError(f"{file}: from another model: the shape of {name} is {shapes}")
            tensor.copy_(_share(saved[name], tensor))


def load_optimizer(path: Path, model: torch.nn.Module, optimizer: AnyOptimizer) -> None:
    """Load the moments of a checkpoint into `optimizer`; its settings do not change.

    Raises:
        CheckpointError: The checkpoint has other trained parameters or another optimizer; the error names one.
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
            f"{file}: other parameters were trained than now: {odd} is trained in only one of the two"
        )
    fresh = optimizer.state_dict()
    state = {index: per_parameter[name] for index, name in enumerate(names) if name in per_parameter}
    optimizer.load_state_dict({"state": state, "param_groups": fresh["param_groups"]})


def _copy(tensor: torch.Tensor, keep: bool) -> torch.Tensor | None:
    """Return a contiguous copy of the whole tensor on the CPU; None unless `keep`."""
    if hasattr(tensor, "full_tensor"):
        tensor = tensor.full_tensor()
    if not keep:
        return None
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _share(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return this process's part of `whole` if `like` is sharded and has the same shape, else `whole`."""
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
    """Return the tensors with one name each; of tied tensors, keep the first name."""
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
    """Return the parameters' names in the optimizer's order."""
    by_identity = {id(parameter): name for name, parameter in model.named_parameters()}
    return [by_identity[id(p)] for group in optimizer.param_groups for p in group["params"]]
