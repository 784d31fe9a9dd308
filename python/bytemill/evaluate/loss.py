"""Computes the loss over a validation or test set; every label counts once, for any batch sizes.

The same sum gives three metrics. Nats per token is the training objective, and perplexity is its exponential. Bits per
byte divides by the bytes of text instead of the number of tokens, so that models with different tokenizers can be
compared (Gao et al., "The Pile", 2020, section 3.1). The loss of special tokens is included, although they have no
bytes of text: predicting where a document ends has a cost too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

from bytemill.errors import DataError
from bytemill.targets import IGNORED_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HeldOutLoss", "bytes_per_token", "held_out_loss"]


class _Vocabulary(Protocol):
    @property
    def n_vocab(self) -> int: ...
    @property
    def special_tokens(self) -> dict[str, int]: ...
    def decode_single_token_bytes(self, token: int, /) -> bytes: ...


@dataclass(frozen=True)
class HeldOutLoss:
    """The loss over a validation or test set.

    >>> loss = HeldOutLoss(nats=6.931471805599453, n_tokens=5, n_bytes=20)
    >>> round(loss.mean, 4), round(loss.perplexity, 4), loss.bits_per_byte
    (1.3863, 4.0, 0.5)
    """

    nats: float
    """Sum over all labels of -ln(probability)."""
    n_tokens: int
    """Number of labels."""
    n_bytes: int | None = None
    """Bytes of text of the labels; None if the tokenizer is unknown."""

    @property
    def mean(self) -> float:
        """Nats per token."""
        return self.nats / self.n_tokens

    @property
    def perplexity(self) -> float:
        """exp(mean); infinite if it is too large for a float."""
        return math.exp(self.mean) if self.mean < 709 else math.inf

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte of text; None if the number of bytes is unknown or 0."""
        return self.nats / math.log(2) / self.n_bytes if self.n_bytes else None

    def as_metrics(self, prefix: str = "val_") -> dict[str, float]:
        """Return the metrics by the names that the training loop logs."""
        metrics = {f"{prefix}loss": self.mean, f"{prefix}perplexity": self.perplexity}
        if self.bits_per_byte is not None:
            metrics[f"{prefix}bits_per_byte"] = self.bits_per_byte
        return metrics


@torch.no_grad()
def held_out_loss(
    model: torch.nn.Module,
    batches: Iterable[tuple[Any, ...]],
    *,
    token_bytes: torch.Tensor | None = None,
) -> HeldOutLoss:
    """Sum the loss of `model` over finitely many batches, in eval mode.

    Args:
        model: `model(ids, targets, …, reduction="sum")` returns (anything, the loss summed over targets that are not
            -100).
        batches: (inputs, targets), each (B, T), tensors or numpy arrays, and further arguments of the model:
            cu_seqlens. The batches may differ in size.
        token_bytes: (n_vocab,) bytes of each token, from `bytes_per_token`.

    Raises:
        DataError: The batches have no labels.
    """
    device = next(model.parameters()).device
    was_training = model.training
    model.eval()
    nats, n_tokens, n_bytes = 0.0, 0, 0
    try:
        for batch in batches:
            ids, labels, *documents = (torch.as_tensor(part).to(device) for part in batch)
            labelled = labels != IGNORED_TARGET
            n_labels = int(labelled.sum())
            if not n_labels:
                continue
            _, loss_sum = model(ids, labels, *documents, reduction="sum")
            nats += float(loss_sum)
            n_tokens += n_labels
            if token_bytes is not None:
                n_bytes += int(token_bytes[labels[labelled].cpu()].sum())
    finally:
        model.train(was_training)
    if not n_tokens:
        raise DataError("the held-out data have no labels, so no loss can be measured")
    return HeldOutLoss(nats, n_tokens, None if token_bytes is None else n_bytes)


def bytes_per_token(tokenizer: _Vocabulary) -> torch.Tensor:
    """Return the bytes of text of each id, (n_vocab,) int64; 0 for special tokens."""
    special = set(tokenizer.special_tokens.values())
    lengths = np.zeros(tokenizer.n_vocab, dtype=np.int64)
    for token in range(tokenizer.n_vocab):
        if token not in special:
            try:
                lengths[token] = len(tokenizer.decode_single_token_bytes(token))
            except KeyError:  # some ids may be unused
                continue
    return torch.from_numpy(lengths)
