"""What a task gives to the loop: rows, a loss, the parameters that train, and what to measure.

The loop knows nothing beyond this page: no text, no architecture, no kind of data.
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
    """An endless, deterministic stream of micro-batches whose place can be saved and found again.

    A process of W takes every W-th micro-batch of one global order. `state_dict` is JSON data, equal
    on all processes after equally many micro-batches, and free of the number of processes.
    """

    def __iter__(self) -> Iterator[Any]:
        """Micro-batches from the present place on."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The place: before the micro-batch that comes next."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to a saved place; an error when it is a place in other data."""
        ...


class BatchLoss(NamedTuple):
    """What a micro-batch adds to its step."""

    loss_sum: torch.Tensor
    """Scalar with gradient: the loss summed, not averaged, over what carries a label."""
    weight: float | torch.Tensor
    """How many labels that were; the step's loss is the sum of sums over the sum of weights."""
    metrics: Mapping[str, float | torch.Tensor | tuple[float | torch.Tensor, float]] = {}
    """Further sums, logged as means over the same weight; of a pair (sum, count), as the mean over that count."""


class Epoch(NamedTuple):
    """One pass over the training data."""

    size: int
    """Rows or samples in it; at least 1."""
    unit: str = "rows"
    """What they are called."""
    batch_size: int = 1
    """How many of them are in one micro-batch."""


def _nothing() -> dict[str, float]:
    return {}


def _numel_of_first(batch: Any) -> int:
    return int(batch[0].numel())


@dataclass(frozen=True)
class Task:
    """One thing to train. The callables see the batch on the model's device, under autocast."""

    model: torch.nn.Module
    """The module whose weights are saved; the loop moves it to the device."""
    batches: BatchStream
    """Training data."""
    loss: Callable[[torch.nn.Module, Any], BatchLoss]
    """From the model (perhaps compiled or wrapped) and a micro-batch to its loss."""
    parameters: Sequence[torch.nn.Parameter] = ()
    """Those that train; empty takes all that require a gradient."""
    hidden_matrices: Sequence[torch.nn.Parameter] = ()
    """Matrices between hidden layers: those that Muon may move, if it is chosen and they train."""
    flops_per_token: float = 0.0
    """Floating-point operations of forward and backward for one token; for MFU. 0 is unknown."""
    validate: Callable[[], Mapping[str, float]] = _nothing
    """Measures on held-out data, the model in eval mode; `val_loss` tells which checkpoint is best."""
    validate_together: Callable[[World], Mapping[str, float]] | None = None
    """Further measures that all processes share, each doing its part and all giving the same sums."""
    test: Callable[[], Mapping[str, float]] = _nothing
    """Measures on test data after the last step, the model in eval mode."""
    samples: Callable[[], Sequence[Mapping[str, str]]] | None = None
    """Draws texts from the model, as {"prompt": …, "text": …}; None where that is not possible."""
    why_no_samples: str = "this task writes no text"
    """Shown where samples are asked for and `samples` is None."""
    epoch: Epoch | None = None
    """What one pass over `batches` is, whose state then has `position`: rows or samples so far. None is unknown."""
    tokens_in: Callable[[Any], int] = _numel_of_first
    """Tokens that a micro-batch makes the model read; for the speed that is shown."""
    model_config: Mapping[str, Any] = field(default_factory=dict)
    """What rebuilds the model: saved as config.json beside the weights, compared on resume."""
    base: Mapping[str, str] | None = None
    """Of a frozen base: its path and SHA-256. Checkpoints then hold what trains, and not the base."""
    outside_base: Sequence[torch.nn.Parameter] = ()
    """Frozen parameters that the base lacks, and checkpoints hold: a random head under its adapter."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Files of the run's folder that belong with the model, by name: its tokenizer, the template."""
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    """What data and tokenizer are, by hash; compared on resume."""

    def saved_names(self) -> set[str] | None:
        """The names of the tensors that a checkpoint holds; None for all."""
        if self.base is None:
            return None
        trained = {id(parameter) for parameter in (*self.trainable(), *self.outside_base)}
        return {name for name, parameter in self.model.named_parameters() if id(parameter) in trained}

    def trainable(self) -> list[torch.nn.Parameter]:
        """The parameters that the optimizer moves."""
        return list(self.parameters) or [p for p in self.model.parameters() if p.requires_grad]
