"""One loader, many threads and forked children: every batch once, no lock that nobody will release."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest

from bytemill import Tokenizer, _core
from bytemill.data import prepare
from bytemill.errors import ArgumentError

if TYPE_CHECKING:
    from pathlib import Path

BATCH, LENGTH = 4, 16


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared")
    (folder / "a.txt").write_text("".join(f"line {i} of {i * i}\n" for i in range(2_000)))
    prepare(folder / "a.txt", folder / "shards", tokenizer=Tokenizer.train(files=[folder / "a.txt"], vocab_size=300))
    return folder / "shards"


def opened(shards: Path, *, shuffle: bool = True, prefetch_batches: int = 4) -> _core.Loader:
    return _core.Loader(
        [str(shards)],
        batch_size=BATCH,
        seq_len=LENGTH,
        seed=5,
        rank=0,
        world_size=1,
        split="train",
        weights=None,
        shuffle=shuffle,
        verify="first_touch",
        prefetch_batches=prefetch_batches,
        id_type="int64",
        mmap=False,
        stored_dtype=None,
        boundaries=None,
        packing="chunk",
    )


def as_bytes(batch: tuple[object, object]) -> bytes:
    return b"".join(array.tobytes() for array in batch)  # type: ignore[attr-defined]


@pytest.mark.parametrize("prefetch_batches", [0, 4])
def test_32_threads_share_a_loader_and_each_batch_is_delivered_once(shards: Path, prefetch_batches: int) -> None:
    alone = opened(shards, prefetch_batches=prefetch_batches)
    expected = sorted(as_bytes(alone.next_batch()) for _ in range(32 * 10))
    shared = opened(shards, prefetch_batches=prefetch_batches)

    def take(_: int) -> list[bytes]:
        return [as_bytes(shared.next_batch()) for _ in range(10)]

    with ThreadPoolExecutor(32) as pool:
        got = sorted(batch for batches in pool.map(take, range(32)) for batch in batches)
    assert got == expected
    assert shared.state() == alone.state()


def test_a_child_forked_while_threads_take_batches_goes_on_and_does_not_hang(shards: Path) -> None:
    loader, stop = opened(shards), Event()

    def take() -> None:
        while not stop.is_set():
            loader.next_batch()

    threads = [Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        statuses = [_status_of_child(loader) for _ in range(20)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert statuses == [0] * 20


def _status_of_child(loader: _core.Loader) -> int:
    """Forks a child that takes two batches and looks at everything else; 0 if it got through."""
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is killed, and its status tells
        first = loader.state()
        batch = as_bytes(loader.next_batch())
        loader.load_state(first)
        same = as_bytes(loader.next_batch()) == batch
        loader.epochs()
        loader.n_samples()
        os._exit(0 if same else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_prefetching_without_bound_is_refused(shards: Path) -> None:
    with pytest.raises(ArgumentError, match=r"prefetch_batches is 9223372036854775807, expected 0 to 65536"):
        opened(shards, prefetch_batches=2**63 - 1)
