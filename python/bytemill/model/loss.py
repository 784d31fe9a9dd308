"""The cross-entropy loss of a language model, from hidden states to a sum over the targets.

    loss = -log softmax(hidden @ weight.T)[target], summed over the targets

`cross_entropy_by_definition` is this formula. Everything after it computes the same number without ever holding all
logits in memory; skip that on a first reading.

At 12 x 256 tokens and 50,304 ids the logits of a training step take 590 MiB, and their log-probabilities and gradient
take the same again. But the gradient of a cross-entropy is known as soon as its value is: softmax minus
one-hot. So each slab of rows is finished before the next begins: logits, loss, gradient of the hidden states, gradient
of the weight. The next slab uses the same memory. No logit is computed twice, and backward() only multiplies by a
scalar.

Slabs take 0.8 of the time of all logits together in fp32, and 0.4 of the memory: docs/experiments/training.md.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bytemill.targets import IGNORED_TARGET

__all__ = ["cross_entropy_by_definition", "cross_entropy_sum", "target_log_probabilities"]

_SLAB_BYTES = 96 << 20
"""Bytes of fp32 logits in memory at a time: 480 rows of 50,304. Larger slabs are no faster on a CPU."""


def cross_entropy_by_definition(hidden: Tensor, weight: Tensor, targets: Tensor, *, n_classes: int) -> Tensor:
    """Return the sum of -log softmax(hidden @ weight.T)[target] over the rows whose target is not -100.

    Arguments and result are those of `cross_entropy_sum`.

    >>> hidden, weight = torch.zeros(3, 8), torch.zeros(64, 8)
    >>> round(float(cross_entropy_by_definition(hidden, weight, torch.tensor([5, 1, -100]), n_classes=50)), 4)
    7.824
    """
    log_probabilities = torch.log_softmax((hidden @ weight.T)[:, :n_classes], dim=-1)  # (N, n_classes)
    asked = targets != IGNORED_TARGET  # (N,)
    return -log_probabilities[asked, targets[asked]].sum()


def cross_entropy_sum(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, n_classes: int, slab_bytes: int = _SLAB_BYTES
) -> Tensor:
    """Return the number of `cross_entropy_by_definition`, with one slab of logits in memory at a time.

    Args:
        hidden: (N, C), any float type. Under autocast the products are taken in autocast's type.
        weight: (V, C), one row per class.
        targets: (N,) integer ids below `n_classes`, or -100.
        n_classes: the number of real classes. Rows of `weight` after these are padding: they get probability 0 and
            gradient 0.
        slab_bytes: maximum bytes of fp32 logits in memory at a time.

    Returns:
        A scalar in fp32, to be differentiated once.

    >>> hidden, weight = torch.zeros(3, 8), torch.zeros(64, 8)
    >>> round(float(cross_entropy_sum(hidden, weight, torch.tensor([5, 1, -100]), n_classes=50)), 4)
    7.824
    """
    n_rows = max(1, slab_bytes // (4 * weight.shape[0]))
    wants_hidden = torch.is_grad_enabled() and hidden.requires_grad
    wants_weight = torch.is_grad_enabled() and weight.requires_grad
    loss: Tensor = _SlabCrossEntropy.apply(hidden, weight, targets, n_classes, n_rows, wants_hidden, wants_weight)
    return loss


def target_log_probabilities(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, n_classes: int, slab_bytes: int = _SLAB_BYTES
) -> Tensor:
    """Return log softmax(hidden @ weight.T)[target] of each row, for losses that compare texts.

    Unlike for a sum, each value has its own gradient from the later computation. So the weight's gradient is computed
    in backward(), which computes the slabs again. A frozen weight, as under LoRA, avoids that.

    Args:
        hidden: (N, C), any float type. Under autocast the products are taken in autocast's type.
        weight: (V, C), one row per class.
        targets: (N,) integer ids below `n_classes`; leave out rows without a target.
        n_classes: as in `cross_entropy_sum`.
        slab_bytes: as in `cross_entropy_sum`.

    Returns:
        (N,) in fp32, to be differentiated once.

    >>> hidden, weight = torch.zeros(2, 8), torch.zeros(64, 8)
    >>> values = target_log_probabilities(hidden, weight, torch.tensor([5, 1]), n_classes=50)
    >>> [round(value, 3) for value in values.tolist()]
    [-3.912, -3.912]
    """
    n_rows = max(1, slab_bytes // (4 * weight.shape[0]))
    wants_hidden = torch.is_grad_enabled() and hidden.requires_grad
    wants_weight = torch.is_grad_enabled() and weight.requires_grad
    # The gradient of a row of `hidden` is multiplied by one number of backward(), so forward() can compute it. The
    # weight's gradient mixes all rows: if it is wanted, backward() computes both.
    ready_in_forward = wants_hidden and not wants_weight
    values: Tensor = _SlabLogProbabilities.apply(hidden, weight, targets, n_classes, n_rows, ready_in_forward)
    return values


class _SlabCrossEntropy(torch.autograd.Function):
    """forward() computes the loss and its gradients; backward() scales them by the incoming gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        targets: Tensor,
        n_classes: int,
        n_rows: int,
        wants_hidden: bool,
        wants_weight: bool,
    ) -> Tensor:
        dtype = _product_dtype(hidden)
        typed_weight = weight.to(dtype)
        hidden_grad = torch.empty_like(hidden) if wants_hidden else None
        weight_grad = torch.zeros_like(weight) if wants_weight else None
        loss = hidden.new_zeros((), dtype=torch.float32)
        slab = _Slab(min(n_rows, hidden.shape[0]), typed_weight, n_classes)
        for start in range(0, hidden.shape[0], n_rows):
            rows = slice(start, start + n_rows)
            inputs = hidden[rows].to(dtype)
            asked = (targets[rows] != IGNORED_TARGET).unsqueeze(1)  # (n, 1)
            indices = targets[rows].clamp(min=0).unsqueeze(1)  # -100 becomes id 0 and is masked out
            log_probabilities = slab.log_probabilities(inputs)
            loss -= torch.where(asked, log_probabilities.gather(1, indices), 0.0).sum()
            if not (wants_hidden or wants_weight):
                continue
            logits_grad = slab.gradient(log_probabilities, indices)
            # Rows without a target are zeroed here, not in the logits' gradient, which is much wider.
            if hidden_grad is not None:
                hidden_grad[rows] = (logits_grad @ typed_weight) * asked
            if weight_grad is not None:
                slab.add_product(weight_grad, logits_grad.T, inputs * asked)
        ctx.save_for_backward(hidden_grad, weight_grad)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, loss_grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden_grad, weight_grad = ctx.saved_tensors
        return (
            None if hidden_grad is None else hidden_grad * loss_grad,
            None if weight_grad is None else weight_grad * loss_grad,
            *(None,) * 5,
        )


class _SlabLogProbabilities(torch.autograd.Function):
    """If only the hidden states need a gradient, forward() computes it; otherwise backward() computes everything."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, n_classes: int, n_rows: int, ready_in_forward: bool
    ) -> Tensor:
        typed_weight = weight.to(_product_dtype(hidden))
        hidden_grad = torch.empty_like(hidden) if ready_in_forward else None
        values = hidden.new_empty(hidden.shape[0], dtype=torch.float32)
        slab = _Slab(min(n_rows, hidden.shape[0]), typed_weight, n_classes)
        for start in range(0, hidden.shape[0], n_rows):
            rows = slice(start, start + n_rows)
            indices = targets[rows].unsqueeze(1)  # (n, 1)
            log_probabilities = slab.log_probabilities(hidden[rows].to(typed_weight.dtype))
            values[rows] = log_probabilities.gather(1, indices).squeeze(1)
            if hidden_grad is not None:
                hidden_grad[rows] = slab.gradient(log_probabilities, indices) @ typed_weight
        ctx.sizes = n_classes, n_rows, typed_weight.dtype
        ctx.save_for_backward(*((hidden_grad,) if ready_in_forward else (hidden, weight, targets)))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, values_grad: Tensor) -> tuple[Tensor | None, ...]:
        if len(ctx.saved_tensors) == 1:
            (hidden_grad,) = ctx.saved_tensors  # of -log p, row by row: hence the minus
            return (hidden_grad * -values_grad.unsqueeze(1).to(hidden_grad.dtype), *(None,) * 5)
        hidden, weight, targets = ctx.saved_tensors
        n_classes, n_rows, dtype = ctx.sizes
        typed_weight = weight.to(dtype)
        hidden_grad, weight_grad = torch.empty_like(hidden), torch.zeros_like(weight)
        slab = _Slab(min(n_rows, hidden.shape[0]), typed_weight, n_classes)
        for start in range(0, hidden.shape[0], n_rows):
            rows = slice(start, start + n_rows)
            inputs = hidden[rows].to(dtype)
            scale = -values_grad[rows].unsqueeze(1).to(dtype)  # (n, 1); minus, because a slab's gradient is of -log p
            logits_grad = slab.gradient(slab.log_probabilities(inputs), targets[rows].unsqueeze(1))
            hidden_grad[rows] = (logits_grad @ typed_weight) * scale
            slab.add_product(weight_grad, logits_grad.T, inputs * scale)
        return (hidden_grad, weight_grad, *(None,) * 4)


def _product_dtype(hidden: Tensor) -> torch.dtype:
    device_type = hidden.device.type
    if torch.is_autocast_enabled(device_type):
        return torch.get_autocast_dtype(device_type)
    return hidden.dtype


class _Slab:
    """The memory of one slab, reused by all slabs in turn.

    New memory from the system costs as much time as the arithmetic: with new tensors for each slab a bf16 step
    took 1.5 times as long. Letters: n rows, C width, V rows of the weight.
    """

    def __init__(self, n_rows: int, weight: Tensor, n_classes: int) -> None:
        shape = n_rows, weight.shape[0]
        self._weight = weight
        self._n_classes = n_classes
        self._results = weight.new_empty(shape, dtype=torch.float32)
        self._logits = torch.empty_like(self._results)
        self._products = self._logits if weight.dtype == torch.float32 else weight.new_empty(shape)

    def log_probabilities(self, inputs: Tensor) -> Tensor:
        """Compute (n, C) -> (n, V) in fp32; padding has probability 0."""
        products, logits, results = (memory[: len(inputs)] for memory in (self._products, self._logits, self._results))
        torch.mm(inputs, self._weight.T, out=products)
        if logits.dtype != products.dtype:
            logits.copy_(products)
        logits[:, self._n_classes :] = -torch.inf
        return torch.log_softmax(logits, dim=-1, out=results)

    def gradient(self, log_probabilities: Tensor, indices: Tensor) -> Tensor:
        """Return the gradient of -log p by the logits, softmax minus one-hot: (n, V), in the weight's dtype.

        It overwrites the log-probabilities.
        """
        gradient = log_probabilities.exp_()
        gradient.scatter_add_(1, indices, -torch.ones_like(indices, dtype=gradient.dtype))
        if gradient.dtype == self._products.dtype:
            return gradient
        return self._products[: len(indices)].copy_(gradient)

    def add_product(self, total: Tensor, left: Tensor, right: Tensor) -> None:
        """Add left (V, n) @ right (n, C) to total (V, C)."""
        if total.dtype == right.dtype:
            total.addmm_(left, right)
        else:  # half-precision products are summed over the slabs in the total's own precision
            total += left @ right
