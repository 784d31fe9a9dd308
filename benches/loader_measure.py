"""Compare loaders: the same tokens, checked batches, tokens per CPU second over interleaved rounds."""

import itertools
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

BATCH, LENGTH = 32, 1_024
ROUND_SECONDS = 0.1
Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


def read_tokens(shards: Path) -> np.ndarray:
    """Return all tokens, read as nanoGPT would read our shards: memory maps that skip the header."""
    maps = [np.memmap(path, dtype=np.uint16, mode="r", offset=1_024) for path in sorted(shards.glob("train_*.bin"))]
    return np.concatenate(maps)


def windows(tokens: np.ndarray) -> np.ndarray:
    """Return all aligned windows of T + 1 tokens, (N, T + 1), without a copy."""
    n = (len(tokens) - 1) // LENGTH
    return np.lib.stride_tricks.as_strided(tokens, (n, LENGTH + 1), (tokens.itemsize * LENGTH, tokens.itemsize))


def check(name: str, batches: Batches, known: set[bytes] | None) -> None:
    """Check that targets are the inputs shifted by one, and that aligned rows are windows of the tokens."""
    for inputs, targets in itertools.islice(batches, 3):
        assert inputs.shape == (BATCH, LENGTH), name
        assert bool((inputs[:, 1:] == targets[:, :-1]).all()), name
        for row in inputs.numpy().astype(np.uint16):
            assert known is None or row.tobytes() in known, f"{name} delivers other tokens"


def rate(batches: Iterator[Any], n: int) -> float:
    """Return tokens per CPU second over `n` batches, for all threads of the process together."""
    began = time.process_time()
    for _ in itertools.islice(batches, n):
        pass
    return n * BATCH * LENGTH / max(time.process_time() - began, 1e-9)


def interleaved(streams: dict[str, Batches], rounds: int, warm: dict[str, int]) -> dict[str, float]:
    """Return the median rate of each stream; a round takes about the same time for each."""
    counts = {}
    for name, stream in streams.items():
        rate(stream, warm.get(name, 20))
        counts[name] = max(8, int(ROUND_SECONDS * rate(stream, 20) / (BATCH * LENGTH)))
    rates: dict[str, list[float]] = {name: [] for name in streams}
    for _ in range(rounds):
        for name, stream in streams.items():
            rates[name].append(rate(stream, counts[name]))
    return {name: statistics.median(found) for name, found in rates.items()}
