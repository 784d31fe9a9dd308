"""Forks processes while a thread of the parent uses something for the first time."""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from bytemill import Tokenizer, _core

PATIENCE_SECONDS = 30
_MOST_FORKS = 8
_GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def tokenizer_of_bytes(last_id: int) -> Tokenizer:
    """Return a tokenizer with the 256 bytes and a special token with the id `last_id`."""
    kind = {"format": "bytemill", "version": 1, "pattern": _GPT2, "ignore_merges": False, "merges": []}
    vocab = {str(byte): f"{byte:02x}" for byte in range(256)}
    readable = kind | {"vocab": vocab, "special_tokens": {"<last>": last_id}}
    return Tokenizer(_core.tokenizer_from_readable(json.dumps(readable)))


def all_hold_during(work: Callable[[], object], check: Callable[[], bool]) -> bool:
    """Return whether `check` is true in each process forked while a thread runs `work`; False if none was forked."""
    thread = threading.Thread(target=work)
    children: list[int] = []
    thread.start()
    while thread.is_alive() and len(children) < _MOST_FORKS:
        child = os.fork()
        if child == 0:
            exit_with(check)
        children.append(child)
    thread.join()
    codes = [exit_code(child) for child in children]
    return bool(codes) and not any(codes)


def exit_with(check: Callable[[], bool]) -> None:
    """End a child process immediately, without the parent's clean-up, with exit code 0 if the check is true."""
    code = 1
    try:
        code = 0 if check() else 2
    finally:
        os._exit(code)


def exit_code(child: int) -> int:
    """Return the exit code of a child process; kill it if it hangs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    fresh = tokenizer_of_bytes(256)
    text = "\u00e9 " * 40_000
    holds = all_hold_during(lambda: fresh.encode_ordinary(text), lambda: len(fresh.encode_ordinary("\u00e9")) == 2)
    sys.exit(0 if holds else 1)
