"""What was used in a process works in its forks: no thread is expected there that a fork does not copy."""

import os
import signal
import time
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare

_PATIENCE_SECONDS = 30


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
            _exit_with(lambda: tokenizer.encode_batch(texts, threads=2) == expected and _goes_on(loader, tmp_path))
        assert _exit_code(child) == 0


def _goes_on(loader: TokenLoader, folder: Path) -> bool:
    """Whether the next batches are those that a new loader gives from the same place."""
    fresh = TokenLoader(folder / "shards", batch_size=4, seq_len=16)
    fresh.load_state_dict(loader.state_dict())
    return all(bool((next(loader)[0] == next(fresh)[0]).all()) for _ in range(6))


def _exit_with(check) -> None:
    """End a child at once, without the parent's clean-up: 0 if the check holds."""
    code = 1
    try:
        code = 0 if check() else 2
    finally:
        os._exit(code)


def _exit_code(child: int) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    pytest.fail(f"a fork hung for {_PATIENCE_SECONDS} s")
