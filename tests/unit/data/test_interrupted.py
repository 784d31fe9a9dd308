"""Long work on shards heeds signals: verify and merge ran to their end after Ctrl-C."""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING

import pytest

from bytemill import Tokenizer
from bytemill.data import merge, prepare, verify

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

N_ALARMS = 5


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shard of 32 MiB, so that some tens of milliseconds pass."""
    folder = tmp_path_factory.mktemp("interrupted")
    (folder / "text.txt").write_text("the cat sat on the mat. " * 700_000)
    prepare(folder / "text.txt", folder / "shards", tokenizer=Tokenizer.train(texts=["x"], vocab_size=257), val=0.0)
    return folder / "shards"


def check_stopped(work: Callable[[], object]) -> None:
    """Alarms every millisecond; only work that looks for them meanwhile meets more than one or two."""
    numbers = itertools.count(1)

    def ring(_number: int, _frame: object) -> None:
        if next(numbers) == N_ALARMS:
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        with pytest.raises(KeyboardInterrupt):
            work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_merge_stops_and_leaves_nothing(shards: Path, tmp_path: Path) -> None:
    check_stopped(lambda: merge([shards, shards], tmp_path / "merged"))
    assert not list((tmp_path / "merged").iterdir())
    assert len(merge([shards, shards], tmp_path / "merged").shards) == 2
    verify(tmp_path / "merged")
