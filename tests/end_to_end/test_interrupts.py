"""Ctrl-C ends every long call of the core soon, as KeyboardInterrupt and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("call_to_interrupt.py")

CALLS = [
    *("encode", "encode_ordinary", "encode_by_regex", "encode_without_pattern", "encode_one_piece"),
    *("encode_to_numpy", "encode_with_offsets", "encode_bytes", "count", "count_until", "pretokens"),
    *("encode_batch", "encode_ordinary_batch", "encode_batch_to_numpy", "encode_batch_of_one_long_text"),
    *("encode_file", "encode_to_file", "decode", "decode_with_offsets", "decode_tokens_bytes", "decode_batch"),
    *("train_on_a_file", "train_on_texts", "train_merging", "prepare", "prepare_one_document"),
    *("verify", "merge", "loader_open", "read_documents", "load"),
]


@pytest.mark.parametrize("call", CALLS)
def test_ctrl_c_ends_the_call(call: str, tmp_path: Path) -> None:
    program = [sys.executable, str(SCRIPT), call, str(tmp_path)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=300, check=False)
    shutil.rmtree(tmp_path)
    assert (ended.stdout, ended.stderr) == ("interrupted\n", "")


def test_ctrl_c_in_the_first_call_that_needs_numpy_was_a_panic() -> None:
    program = """
import os, signal, threading, time
from bytemill import Tokenizer
signal.signal(signal.SIGINT, signal.default_int_handler)  # a program started in the background ignores SIGINT
tokenizer = Tokenizer.train(texts=["a b"], vocab_size=257)
text = "a b " * 20_000_000
threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    for _ in range(100):
        tokenizer.encode_to_numpy(text)
except KeyboardInterrupt:
    print("interrupted")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.stdout, ended.stderr) == ("interrupted\n", "")
