"""What the demo measures on the way: the growth of the vocabulary, the entropy to beat, the machine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bytemill.evaluate.loss import bytes_per_token
from bytemill.experiment.demo.results import MetricsRow, RanOn
from bytemill.train.machine.environment import describe_environment
from bytemill.train.machine.facts import host
from bytemill.train.run.metrics import read_json_lines

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from bytemill import Tokenizer

__all__ = ["machine", "metrics_of", "unigram_bits_per_byte", "vocabulary_growth"]


def metrics_of(run_dir: Path) -> list[MetricsRow]:
    """The rows of a run's metrics.jsonl."""
    return [*read_json_lines(run_dir / "metrics.jsonl")]


def vocabulary_growth(tokenizer: Tokenizer, text: str) -> list[tuple[int, float]]:
    """Bytes per token on `text` for the vocabularies that the same training would have given when smaller."""
    sizes = [size for size in (256 + 2**power for power in range(4, 20)) if size < tokenizer.n_vocab]
    n_bytes = len(text.encode())
    smaller = [(size, tokenizer.truncated(size)) for size in [256 + len(tokenizer.special_tokens), *sizes]]
    return [(size, n_bytes / one.count(text)) for size, one in [*smaller, (tokenizer.n_vocab, tokenizer)]]


def unigram_bits_per_byte(batches: Iterable[tuple[torch.Tensor, torch.Tensor]], tokenizer: Tokenizer) -> float:
    """Return the entropy of the targets under their own frequencies, in bits per byte of their text.

    A model that ignores the context cannot do better on this text; what a language model gains below it comes from the
    tokens before.
    """
    counts = np.zeros(tokenizer.n_vocab, dtype=np.int64)
    for _, targets in batches:
        counts += np.bincount(targets.numpy().ravel(), minlength=tokenizer.n_vocab)
    n_bytes = int(counts @ bytes_per_token(tokenizer).numpy())
    seen = counts[counts > 0]
    return float(-(seen * np.log(seen / seen.sum())).sum() / math.log(2) / n_bytes)


def machine() -> RanOn:
    """Where this runs."""
    found: dict[str, Any] = describe_environment(torch.device("cpu"))
    versions = {name: one or "unknown" for name, one in found["packages"].items()}
    return RanOn(host(), {"Python": found["python"], **versions})
