"""A tiny model, stream and task, to test the training loop without bytemill's models."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from bytemill.train.config import RunConfig
from bytemill.train.task import BatchLoss, Task

VOCAB_SIZE = 17


class TinyModel(torch.nn.Module):
    """A model with two tied matrices, a bias and dropout; called like bytemill.model.GPT2."""

    def __init__(self, width: int = 8, dropout: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Embedding(VOCAB_SIZE, width)
        self.middle = torch.nn.Linear(width, width)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(width, VOCAB_SIZE, bias=False)
        self.head.weight = self.embedding.weight

    def hidden_matrices(self) -> list[torch.nn.Parameter]:
        return [self.middle.weight]

    def forward(
        self, ids: torch.Tensor, targets: torch.Tensor | None = None, *, reduction: str = "mean"
    ) -> tuple[Any, Any]:
        hidden = self.dropout(torch.tanh(self.middle(self.embedding(ids))))
        logits = self.head(hidden)
        if targets is None:
            return logits, None
        return None, F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction=reduction)


class TinyStream:
    """Samples that depend only on their position; each sample lacks a varying number of labels at its beginning."""

    def __init__(
        self, batch_size: int = 2, seq_len: int = 5, rank: int = 0, world_size: int = 1, n_samples: int = 7
    ) -> None:
        self.batch_size, self.seq_len, self.rank, self.world_size = batch_size, seq_len, rank, world_size
        self.n_samples = n_samples
        self.position = 0

    def __iter__(self) -> TinyStream:
        return self

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        start = self.position + self.rank * self.batch_size
        self.position += self.world_size * self.batch_size
        samples = [self._sample(start + i) for i in range(self.batch_size)]
        return torch.stack([s[:-1] for s in samples]), torch.stack([self._labels(s) for s in samples])

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.position = state["position"]

    def _sample(self, position: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(position % self.n_samples)
        return torch.randint(VOCAB_SIZE, (self.seq_len + 1,), generator=generator)

    def _labels(self, sample: torch.Tensor) -> torch.Tensor:
        labels = sample[1:].clone()
        labels[: int(sample[0]) % self.seq_len] = -100
        return labels


def tiny_loss(model: torch.nn.Module, batch: Any) -> BatchLoss:
    inputs, targets = batch
    n_labels = (targets != -100).sum()
    _, mean = model(inputs, targets)
    return BatchLoss(mean * n_labels, n_labels)


def tiny_task(*, width: int = 8, dropout: float = 0.1, **fields: Any) -> Task:
    model = fields.pop("model", None) or TinyModel(width, dropout)
    stream = fields.pop("batches", None) or TinyStream()

    def validate() -> dict[str, float]:
        held_out = TinyStream()
        held_out.load_state_dict({"position": 3})
        with torch.no_grad():
            return {"val_loss": float(model(*next(held_out))[1])}

    defaults: dict[str, Any] = {
        "loss": tiny_loss,
        "validate": validate,
        "samples": lambda: [{"prompt": "a", "text": f"{float(model.embedding.weight.sum()):.9f}"}],
        "model_config": {"width": width},
        "fingerprints": {"data": "abc"},
    }
    return Task(model=model, batches=stream, **(defaults | fields))


def tiny_config(**train: Any) -> RunConfig:
    defaults = {
        "max_steps": 6,
        "warmup_steps": 2,
        "learning_rate": 1e-2,
        "min_learning_rate": 1e-3,
        "precision": "fp32",
        "device": "cpu",
        "eval_every": 2,
        "checkpoint_every": 2,
        "tensorboard": False,
    }
    return RunConfig().with_train(**(defaults | train))
