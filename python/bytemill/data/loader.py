"""Batches from token shards: the torch face of the Rust loader.

Which sample comes when is a pure function of (seed, position), so progress is one integer and a run resumes
exactly, at any world size. Order, packing and state are written down in docs/formats.md. A batch's tensors lie in the
loader's own memory, which is used again only when nobody holds any of them: no copy, no allocation a batch.
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

    A sample is `seq_len + 1` neighbouring tokens; inputs are the first `seq_len` of them, targets the last. Or, with
    `packing="bestfit"`, a row of whole documents, each token's target the one that follows it in the data.
    A micro-batch is `batch_size` consecutive positions of the global order, and rank r of W takes
    micro-batches r, r + W, …, so that the order of samples does not depend on the number of ranks.
    Threads may share a loader; each batch goes to one of them.

    It needs no `torch.utils.data.DataLoader`, and works in one: `DataLoader(loader, batch_size=None, num_workers=2)`
    gives the same batches in the same order. The loader's own state then stays where it was: the workers' copies move.

    Args:
        path_or_paths: A folder of shards, or a file of llm.c, nanoGPT, numpy (.npy) or Megatron (.bin beside .idx);
            or several of one kind.
        batch_size: Samples in a batch of this rank (B).
        seq_len: Tokens in a sample (T).
        seed: Chooses the order; each epoch has its own.
        rank: This process among `world_size`.
        world_size: How many processes share the stream.
        split: "train" or "val"; files have only "train".
        weights: One positive weight a source, their share of the samples; if None, the sources' tokens follow each
            other as one.
        packing: "chunk": windows over the documents end to end, which are cut wherever a window ends. "bestfit":
            documents are placed whole where they fit, and cut only where none does; what is cut off goes to another
            row. Either way every token is an input once an epoch, none is padded, and at most the last `seq_len` are
            left out. Of film reviews that fit into 1,024 tokens 72 % are whole by "chunk" and all by "bestfit"
            (benches/packing.py). It costs 8 bytes of memory for each piece that was touched, a read for each piece
            instead of each row, int32 batches of 8 instead of 4 bytes a token, and with `shuffle=False` rows that
            are not in the data's order. Shards only: others' files do not say where documents begin.
        shuffle: False serves the samples in the order they are stored, or planned.
        dtype: `torch.int64` (None means the same): contiguous tensors. Or `torch.int32`, to be cast on the device:
            inputs and targets are views of one (B, T + 1) buffer, a quarter of the bytes; flatten by `reshape`. (With
            "bestfit" they are two buffers.)
        verify: When checksums are checked: as each block is first touched, always, or never. Others' files have none.
        prefetch_batches: How many batches are read ahead on a thread of their own, once it is seen that you do
            something between one batch and the next; 0 reads when asked.
        documents: Adds a third tensor. "ids": (B, T) int32, the number of the piece that an input belongs to, counted
            through the batch. "cu_seqlens": (n,) int32, where pieces begin among the B x T inputs, padded with
            B x T to a length that is the same for every batch. Takes 4 bytes of memory a document.
        stored_dtype: "uint16" or "uint32", of a raw .bin, which does not say it.
        mmap: Reads mapped files instead of calling the system for each sample: faster, but whoever cuts a file
            that is mapped kills the process.
        pin_memory: Whether batches lie in pinned memory, for `to(device, non_blocking=True)`; if None, where there is
            CUDA.

    Raises:
        FormatError: Manifest, shards or a file's header are damaged or of another format.
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
        """Samples in one epoch of all sources together."""
        return sum(self._loader.n_samples())

    @property
    def epochs(self) -> list[float]:
        """Epochs done of each source, with the fraction of the one begun."""
        return self._loader.epochs()

    def __iter__(self) -> Iterator[Batch]:
        """This loader itself; in a worker of a DataLoader, every num_workers-th of its batches."""
        worker = get_worker_info()
        if worker is not None and worker.num_workers > 1:
            return self._part(worker.id, worker.num_workers)
        return self

    def __next__(self) -> Batch:
        """The next (inputs, targets) of this rank, (B, T) each; they stay untouched while you hold them.

        Raises:
            FormatError: A checksum does not fit; no damaged token is delivered.
        """
        batch = tuple(map(torch.from_numpy, self._loader.next_batch()))
        return tuple(map(_pinned, batch)) if self._pins else batch

    def state_dict(self) -> dict[str, Any]:
        """Where the stream is: one integer, and what the order depends on. The same on every rank."""
        return dict(json.loads(self._loader.state()))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved place, at any world size and number of threads.

        Raises:
            ArgumentError: It is a place in another order; names both values.
        """
        self._loader.load_state(json.dumps(dict(state)))

    def __getstate__(self) -> dict[str, Any]:
        """What a spawned process needs: it opens the files itself and goes on from the same place."""
        return {name: value for name, value in vars(self).items() if name != "_loader"} | {
            "state": self._loader.state()
        }

    def __setstate__(self, saved: dict[str, Any]) -> None:
        state = saved.pop("state")
        vars(self).update(saved)
        self._loader = _core.Loader(self._paths, **self._options)
        self._loader.load_state(state)

    def _part(self, worker: int, n_workers: int) -> TokenLoader:
        """Micro-batches w, w + n, … of this rank's: DataLoader, which takes turns, gives all of them in order."""
        ranks = {
            "rank": self._options["rank"] + worker * self._options["world_size"],
            "world_size": self._options["world_size"] * n_workers,
        }
        part: TokenLoader = TokenLoader.__new__(TokenLoader)
        part.__setstate__(self.__getstate__() | {"_options": self._options | ranks})
        return part


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    """A copy in torch's pinned memory, which torch gives to nobody else while the device still reads it."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor)
