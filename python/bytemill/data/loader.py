"""Batches from token shards: the torch face of the Rust loader.

Which sample comes when is a pure function of (seed, position), so progress is one integer and a run resumes
exactly, at any world size. Order, packing and state are written down in docs/formats.md.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bytemill import _core
from bytemill.errors import ArgumentError, refuse_negative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import torch

__all__ = ["TokenLoader"]

_DTYPES = ("torch.int64", "torch.int32")


class TokenLoader:
    """An endless, deterministic stream of (inputs, targets) batches.

    A sample is `seq_len + 1` neighbouring tokens; inputs are the first `seq_len` of them, targets the last.
    A micro-batch is `batch_size` consecutive positions of the global order, and rank r of W takes
    micro-batches r, r + W, …, so that the order of samples does not depend on the number of ranks.
    Threads may share a loader; each batch goes to one of them.

    Args:
        path_or_paths: One folder of shards, or several to be mixed.
        batch_size: Samples in a batch of this rank (B).
        seq_len: Tokens in a sample (T).
        seed: Chooses the order; each epoch has its own.
        rank: This process among `world_size`.
        world_size: How many processes share the stream.
        split: "train" or "val".
        weights: One positive weight a folder, their share of the samples; equal to the tokens' share if None.
        shuffle: False serves the samples in the order they are stored.
        dtype: `torch.int64` (None means the same) or `torch.int32`.
        verify: When checksums are checked: as each block is first touched, always, or never.
        prefetch_batches: How many batches are read ahead on a thread of their own.

    Raises:
        FormatError: Manifest or shards are damaged or of another format.
        ArgumentError: An argument cannot work, such as a split with fewer than `seq_len + 1` tokens.

    Example:
        >>> from bytemill import Tokenizer
        >>> from bytemill.data import prepare
        >>> folder = getfixture("tmp_path")
        >>> _ = (folder / "a.txt").write_text("to be or not to be " * 50)
        >>> tokenizer = Tokenizer.train(files=[folder / "a.txt"], vocab_size=270)
        >>> _ = prepare(folder / "a.txt", folder / "shards", tokenizer=tokenizer)
        >>> loader = TokenLoader(folder / "shards", batch_size=2, seq_len=8)
        >>> inputs, targets = next(loader)
        >>> inputs.shape, bool((inputs[:, 1:] == targets[:, :-1]).all())
        (torch.Size([2, 8]), True)
        >>> loader.state_dict()["position"]
        2
    """

    def __init__(
        self,
        path_or_paths: str | Path | Sequence[str | Path],
        *,
        batch_size: int,
        seq_len: int,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        split: str = "train",
        weights: Sequence[float] | None = None,
        shuffle: bool = True,
        dtype: torch.dtype | None = None,
        verify: Literal["first_touch", "always", "never"] = "first_touch",
        prefetch_batches: int = 4,
    ) -> None:
        if dtype is not None and str(dtype) not in _DTYPES:
            raise ArgumentError(f"dtype is {dtype}, expected {' or '.join(_DTYPES)}")
        refuse_negative(
            batch_size=batch_size,
            seq_len=seq_len,
            seed=seed,
            rank=rank,
            world_size=world_size,
            prefetch_batches=prefetch_batches,
        )
        paths = [path_or_paths] if isinstance(path_or_paths, str | Path) else list(path_or_paths)
        self._loader = _core.Loader(
            [str(path) for path in paths],
            batch_size=batch_size,
            seq_len=seq_len,
            seed=seed,
            rank=rank,
            world_size=world_size,
            split=split,
            weights=None if weights is None else list(weights),
            shuffle=shuffle,
            verify=verify,
            prefetch_batches=prefetch_batches,
        )
        self._dtype = dtype
        self._one_at_a_time = threading.Lock()

    @property
    def n_samples(self) -> int:
        """Samples in one epoch of all folders together."""
        return sum(self._loader.n_samples())

    @property
    def epochs(self) -> list[float]:
        """Epochs done of each folder, with the fraction of the one begun."""
        return self._loader.epochs()

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return self

    def __next__(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next (inputs, targets) of this rank, (B, T) each; they stay untouched while you hold them.

        Raises:
            FormatError: A checksum does not fit; no damaged token is delivered.
        """
        import torch

        with self._one_at_a_time:
            arrays = self._loader.next_batch()
        inputs, targets = (torch.from_numpy(ids) for ids in arrays)
        return (inputs, targets) if self._dtype is None else (inputs.to(self._dtype), targets.to(self._dtype))

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is: one integer, and what the order depends on. The same on every rank."""
        with self._one_at_a_time:
            return dict(json.loads(self._loader.state()))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved place, at any world size and number of threads.

        Raises:
            ArgumentError: It is a place in another order; names both values.
        """
        with self._one_at_a_time:
            self._loader.load_state(json.dumps(dict(state)))
