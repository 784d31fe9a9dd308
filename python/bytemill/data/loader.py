"""Load batches from token shards: the torch interface of the Rust loader.

With T = seq_len, B = batch_size, one source of N samples, and packing="chunk":

    order(epoch) = a permutation of 0 … N - 1, from (seed, epoch)
    sample at position p = tokens[i * T : i * T + T + 1], where i = order(p div N)[p mod N]
    k-th batch of rank r of W = samples at positions (k * W + r) * B … + B - 1
    inputs, targets = all but the last token of each sample, all but the first

The order of samples is a pure function of (seed, position). So progress is one integer, and a run resumes exactly, at
any world size. docs/formats.md describes order, packing and state. A batch's tensors use the loader's own memory, which
is reused only when none of them is referenced: no copy and no allocation per batch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch.utils.data import IterableDataset, get_worker_info

from bytemill import _core
from bytemill.errors import ArgumentError, refuse_negative

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["TokenLoader"]

_ID_TYPES = {None: "int64", torch.int64: "int64", torch.int32: "int32"}

Batch = tuple[torch.Tensor, ...]


class TokenLoader(IterableDataset[Batch]):
    """An endless, deterministic stream of (inputs, targets) batches.

    A sample is `seq_len + 1` consecutive tokens; the inputs are the first `seq_len`, the targets the last `seq_len`.
    With `packing="bestfit"` a sample is a row of whole documents; each token's target is the next token in the data.
    A micro-batch is `batch_size` consecutive positions of the global order, and rank r of W takes
    micro-batches r, r + W, …, so the order of samples does not depend on the number of ranks.
    Threads may share a loader; each batch goes to one of them.

    It needs no `torch.utils.data.DataLoader`, but works in one: `DataLoader(loader, batch_size=None, num_workers=2)`
    gives the same batches in the same order. Each worker then reads with its own copy of the loader. The position of
    this loader does not change, so its `state_dict` cannot resume such a run.

    Args:
        path_or_paths: A folder of shards, or a file of llm.c, nanoGPT, numpy (.npy) or Megatron (.bin next to
            .idx); or several of one kind.
        batch_size: Samples in a batch of this rank (B).
        seq_len: Tokens in a sample (T).
        seed: Seed of the order; each epoch has a different order.
        rank: Rank of this process, from 0 to `world_size` - 1.
        world_size: Number of processes that share the stream.
        split: "train" or "val"; files have only "train".
        weights: One positive weight per source: its share of the samples; if None, the sources are concatenated.
        packing: "chunk" takes consecutive tokens of the concatenated documents, so a document is cut where a sample
            ends; "bestfit" (needs shards) fills each sample with whole documents, and cuts one only if none fits.
            Every token is an input once per epoch without padding, except for up to `seq_len` tokens at the end of the
            data; docs/shards.md compares the two.
        shuffle: False returns the samples in stored order ("chunk") or planned order ("bestfit").
        dtype: `torch.int64` (None means the same): contiguous tensors. Or `torch.int32`, to be cast on the
            device: inputs and targets are views of one (B, T + 1) buffer, a quarter of the bytes; flatten them with
            `reshape`. (With "bestfit" they are two buffers.)
        verify: When to check checksums: when each block is first read, always, or never. Files of other programs have
            none.
        prefetch_batches: Maximum number of batches to prefetch on a separate thread. Prefetching starts once the caller
            is seen to work between batches; 0 reads each batch on demand.
        documents: Adds a third tensor. "ids": (B, T) int32, the number of each input's piece within the batch.
            "cu_seqlens": (n,) int32, where pieces begin among the B x T inputs, padded with
            B x T to the same length for every batch. Uses 4 bytes of memory per document.
        stored_dtype: "uint16" or "uint32", for a raw .bin, which does not store it.
        mmap: Whether to read memory-mapped files instead of making a system call per sample. This is faster, but
            truncating a mapped file kills the process (SIGBUS).
        pin_memory: Whether batches are in pinned memory, for `to(device, non_blocking=True)`; if None, only with CUDA.

    Raises:
        FormatError: Manifest, shards or a file's header are damaged or of another format.
        ArgumentError: An argument is invalid, such as a split with fewer than `seq_len + 1` tokens.

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
        packing: Literal["chunk", "bestfit"] = "chunk",
        shuffle: bool = True,
        dtype: torch.dtype | None = None,
        verify: Literal["first_touch", "always", "never"] = "first_touch",
        prefetch_batches: int = 4,
        documents: Literal["ids", "cu_seqlens"] | None = None,
        stored_dtype: Literal["uint16", "uint32"] | None = None,
        mmap: bool = False,
        pin_memory: bool | None = None,
    ) -> None:
        if dtype not in _ID_TYPES:
            raise ArgumentError(f"dtype is {dtype}, expected torch.int64 or torch.int32")
        refuse_negative(
            batch_size=batch_size,
            seq_len=seq_len,
            seed=seed,
            rank=rank,
            world_size=world_size,
            prefetch_batches=prefetch_batches,
        )
        paths = [path_or_paths] if isinstance(path_or_paths, str | Path) else list(path_or_paths)
        self._paths = [str(path) for path in paths]
        self._options: dict[str, Any] = {
            "batch_size": batch_size,
            "seq_len": seq_len,
            "seed": seed,
            "rank": rank,
            "world_size": world_size,
            "split": split,
            "weights": None if weights is None else list(weights),
            "packing": packing,
            "shuffle": shuffle,
            "verify": verify,
            "prefetch_batches": prefetch_batches,
            "id_type": _ID_TYPES[dtype],
            "mmap": mmap,
            "stored_dtype": stored_dtype,
            "boundaries": documents,
        }
        self._loader = _core.Loader(self._paths, **self._options)
        self._pins = torch.cuda.is_available() if pin_memory is None else pin_memory

    @property
    def n_samples(self) -> int:
        """Number of samples in one epoch of all sources together."""
        return sum(self._loader.n_samples())

    @property
    def epochs(self) -> list[float]:
        """Epochs done of each source, with the fraction of the current one."""
        return self._loader.epochs()

    def __iter__(self) -> Iterator[Batch]:
        """Return this loader; in a DataLoader worker, every num_workers-th of its batches."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            return self._part(worker.id, worker.num_workers)
        return self

    def __next__(self) -> Batch:
        """Return the next (inputs, targets) of this rank, (B, T) each; they do not change while you hold them.

        Raises:
            FormatError: A checksum does not match; no damaged token is returned.
        """
        batch = tuple(map(torch.from_numpy, self._loader.next_batch()))
        return tuple(map(_pinned, batch)) if self._pins else batch

    def state_dict(self) -> dict[str, Any]:
        """Return the position (one integer) and the settings that determine the order; equal on every rank."""
        return dict(json.loads(self._loader.state()))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved position, at any world size and number of threads.

        Raises:
            ArgumentError: The position belongs to another order; the message has both values.
        """
        self._loader.load_state(json.dumps(dict(state)))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a spawned process, which opens the files itself and continues from the same position."""
        return {name: value for name, value in vars(self).items() if name != "_loader"} | {
            "state": self._loader.state()
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        state = saved.pop("state")
        vars(self).update(saved)
        self._loader = _core.Loader(self._paths, **self._options)
        self._loader.load_state(state)

    def _part(self, worker: int, n_workers: int) -> TokenLoader:
        """Return a loader of every `n_workers`-th batch of this rank, for one of DataLoader's workers.

        DataLoader takes a batch from each worker in turn, so all batches come in order. The workers of all ranks are
        like W * n_workers ranks: batch k of worker w of rank r is micro-batch (k * n_workers + w) * W + r.
        """
        ranks = {
            "rank": self._options["rank"] + worker * self._options["world_size"],
            "world_size": self._options["world_size"] * n_workers,
        }
        part: TokenLoader = TokenLoader.__new__(TokenLoader)
        part.__setstate__(self.__getstate__() | {"_options": self._options | ranks})
        return part


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy in torch's pinned memory, which torch does not reuse while the device still reads it."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
