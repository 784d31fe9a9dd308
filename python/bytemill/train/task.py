"""The interface between a task and the training loop: batches, loss, trained parameters and measurements.

The loop uses nothing else: it does not depend on text, architecture or kind of data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import torch

    from bytemill.train.machine.distributed import World

__all__ = ["BatchLoss", "BatchStream", "Epoch", "Task"]


class BatchStream(Protocol):
    """An endless, deterministic stream of micro-batches whose position can be saved and restored.

    Each of W processes takes every W-th micro-batch of one global order. `state_dict` is JSON data. It is equal on all
    processes after the same number of micro-batches, and does not depend on the number of processes.
    """

    def __iter__(self) -> Iterator[Any]:
        """Yield micro-batches from the current position."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return the position: before the next micro-batch."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a saved position; raise an error if it belongs to other data."""
        ...


class BatchLoss(NamedTuple):
    """The loss of one micro-batch."""

    loss_sum: torch.Tensor
    """Scalar with gradient: the loss summed, not averaged, over all labels."""
    weight: float | torch.Tensor
    """Number of labels; the step's loss is the sum of `loss_sum` divided by the sum of `weight`."""
    metrics: Mapping[str, float | torch.Tensor | tuple[float | torch.Tensor, float]] = {}
    """Further sums, logged as means over the same weight; a pair (sum, count) is logged as the mean over its count."""


class Epoch(NamedTuple):
    """One pass over the training data."""

    size: int
    """Number of rows or samples; at least 1."""
    unit: str = "rows"
    """Name of the unit that `size` counts."""
    batch_size: int = 1
    """Number of rows or samples per micro-batch."""


def _nothing() -> dict[str, float]:
    return {}


def _numel_of_first(batch: Any) -> int:
    return int(batch[0].numel())


@dataclass(frozen=True)
class Task:
    """A task to train. The callables get batches on the model's device, under autocast."""

    model: torch.nn.Module
    """The module whose weights are saved; the loop moves it to the device."""
    batches: BatchStream
    """Training data."""
    loss: Callable[[torch.nn.Module, Any], BatchLoss]
    """Computes the loss from the model (perhaps compiled or wrapped) and a micro-batch."""
    parameters: Sequence[torch.nn.Parameter] = ()
    """Parameters to train; empty for all that require a gradient."""
    hidden_matrices: Sequence[torch.nn.Parameter] = ()
    """Matrices between hidden layers, which Muon may update."""
    flops_per_token: float = 0.0
    """Floating-point operations of forward and backward pass per token, for MFU; 0 if unknown."""
    validate: Callable[[], Mapping[str, float]] = _nothing
    """Measures on the validation set, with the model in eval mode; the lowest `val_loss` marks the best checkpoint."""
    validate_together: Callable[[World], Mapping[str, float]] | None = None
    """Further measurements that all processes share: each does a part, and all return the same sums."""
    test: Callable[[], Mapping[str, float]] = _nothing
    """Measures on the test set after the last step, with the model in eval mode."""
    samples: Callable[[], Sequence[Mapping[str, str]]] | None = None
    """Samples texts from the model, as {"prompt": …, "text": …}; None if the task writes no text."""
    why_no_samples: str = "this task writes no text"
    """Reason shown if samples are requested and `samples` is None."""
    epoch: Epoch | None = None
    """One pass over `batches`, whose state must have `position` (rows or samples so far); None if unknown."""
    tokens_in: Callable[[Any], int] = _numel_of_first
    """Returns the number of tokens in a micro-batch, for the displayed speed."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """Settings that rebuild the model; saved as config.json next to the weights, and compared on resume."""
    base: Mapping[str, str] | None = None
    """Path and SHA-256 of a frozen base; checkpoints then contain only the trained tensors."""
    outside_base: Sequence[torch.nn.Parameter] = ()
    """Frozen parameters that are not in the base but in checkpoints, such as a random head under an adapter."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files to write into the run's folder, text by name: the tokenizer, the chat template."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """Hashes of data and tokenizer, compared on resume."""

    def saved_names(self) -> set[str] | None:
        """Return the names of the tensors in a checkpoint; None for all."""
        if self.base is None:
            return None
        trained = {id(parameter) for parameter in (*self.trainable(), *self.outside_base)}
        return {name for name, parameter in self.model.named_parameters() if id(parameter) in trained}

    def trainable(self) -> list[torch.nn.Parameter]:
        """Return the parameters that the optimizer updates."""
        return list(self.parameters) or [p for p in self.model.parameters() if p.requires_grad]
