"""What was used in a process works in its forks: no thread is expected there that a fork does not copy."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import forks
from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare
from forks import exit_code, exit_with


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("n_forks", [20, pytest.param(100, marks=pytest.mark.long)])
def test_tokenizer_and_loader_work_in_forks(tmp_path: Path, n_forks: int) -> None:
    (tmp_path / "a.txt").write_text("to be or not to be, that is the question. " * 2_000)
    tokenizer = Tokenizer.train(files=tmp_path / "a.txt", vocab_size=280)
    prepare(tmp_path / "a.txt", tmp_path / "shards", tokenizer=tokenizer)
    texts = ["to be or not to be " * 20] * 32
    expected = tokenizer.encode_batch(texts, threads=2)
    loader = TokenLoader(tmp_path / "shards", batch_size=4, seq_len=16, prefetch_batches=4)
    for _ in range(n_forks):
        next(loader)
        child = os.fork()
        if child == 0:
            exit_with(lambda: tokenizer.encode_batch(texts, threads=2) == expected and _goes_on(loader, tmp_path))
        assert exit_code(child) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_does_not_wait_for_another_threads_first_decoding() -> None:
    """The table that decoding makes first was made inside a lock, for which a child then waited without end."""
    tokenizer, ids = forks.tokenizer_of_bytes(2**23), np.full(20_000, 97, dtype=np.uint32)
    assert forks.all_hold_during(lambda: tokenizer.decode_bytes(ids), lambda: tokenizer.decode_bytes([97]) == b"a")


def test_a_fork_does_not_wait_for_another_threads_first_encoding() -> None:
    """The same of the classes of characters, which are made once a process: so this takes one of its own."""
    run = subprocess.run([sys.executable, "-W", "ignore", forks.__file__], timeout=10 * forks.PATIENCE_SECONDS)
    assert run.returncode == 0


def _goes_on(loader: TokenLoader, folder: Path) -> bool:
    """Whether the next batches are those that a new loader gives from the same place."""
    fresh = TokenLoader(folder / "shards", batch_size=4, seq_len=16)
    fresh.load_state_dict(loader.state_dict())
    return all(bool((next(loader)[0] == next(fresh)[0]).all()) for _ in range(6))
