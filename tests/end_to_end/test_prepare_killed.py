"""Reliability rows 15 and 18: preparing is killed at any instant and completed; its memory is bounded by the flag."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from bytemill import Tokenizer, _core
from bytemill.data import prepare, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

_PREPARE = """
import sys
from bytemill import Tokenizer
from bytemill.data import prepare
prepare(sys.argv[1], sys.argv[2], tokenizer=Tokenizer.load(sys.argv[3]), shard_tokens=20_000, val=0.05, threads=2)
"""
_PEAK = """
import re, sys
from pathlib import Path
from bytemill import Tokenizer
from bytemill.data import prepare
def peak():  # getrusage's would begin with that of the process that forked this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
tokenizer = Tokenizer.load(sys.argv[3])
before = peak()
prepare(sys.argv[1], sys.argv[2], tokenizer=tokenizer, max_memory=int(sys.argv[4]), threads=2)
print(peak() - before)
"""
LIMIT_BYTES = 48 << 20


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def run(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, arguments)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed")
    rows = [json.dumps({"text": f"row {i} of many, {i * i} and {i % 13}. " * (i % 40)}) for i in range(8_000)]
    (folder / "rows.jsonl").write_text("\n".join(rows))
    Tokenizer.train(texts=rows[:500], vocab_size=400).save(folder / "t.json")
    return folder


def check_kills(corpus: Path, folder: Path, n_kills: int) -> None:
    expected = folder / "expected"
    prepare(corpus / "rows.jsonl", expected, tokenizer=Tokenizer.load(corpus / "t.json"), shard_tokens=20_000, val=0.05)
    chance = random.Random(0)
    command = run(_PREPARE, corpus / "rows.jsonl", folder / "out", corpus / "t.json")
    for _ in range(n_kills):
        work = subprocess.Popen(command)
        while work.poll() is None and not (folder / "out").exists():  # importing takes most of a run this short
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.3))
        work.send_signal(signal.SIGKILL)
        work.wait()
    subprocess.run(command, check=True)
    assert contents(folder / "out") == contents(expected)


def test_killed_runs_are_completed_with_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    check_kills(corpus, tmp_path, 3)


@pytest.mark.long
def test_many_killed_runs(corpus: Path, tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / str(number)).mkdir()
        check_kills(corpus, tmp_path / str(number), 10)


def check_memory(folder: Path, n_bytes: int) -> None:
    """One document of `n_bytes`, cut on the way: memory stays below the flag, whatever its length."""
    line = b"some words of a long text, one line after the other\nand so on\n"
    with (folder / "long.txt").open("wb") as file:
        for _ in range(n_bytes // (len(line) * 1_000)):
            file.write(line * 1_000)
    tokenizer = Tokenizer.train(texts=[line.decode()], vocab_size=300)
    tokenizer.save(folder / "t.json")
    command = run(_PEAK, folder / "long.txt", folder / "out", folder / "t.json", LIMIT_BYTES)
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert 1 << 20 < peak < LIMIT_BYTES, f"{peak / 2**20:.1f} MiB above the start"
    manifest = read_manifest(folder / "out")
    assert (manifest.documents("train"), manifest.documents("val")) == (1, 1)


def test_a_document_larger_than_the_memory_allowed(tmp_path: Path) -> None:
    check_memory(tmp_path, 100_000_000)


@pytest.mark.long
def test_a_document_of_a_gibibyte(tmp_path: Path) -> None:
    check_memory(tmp_path, 1 << 30)


def test_a_finished_shard_that_was_damaged_between_the_runs_is_made_again(corpus: Path, tmp_path: Path) -> None:
    options = {"tokenizer": Tokenizer.load(corpus / "t.json"), "shard_tokens": 20_000, "val": 0.05}
    prepare(corpus / "rows.jsonl", tmp_path / "expected", **options)
    with pytest.raises(InterruptedError):
        _core.prepare_shards(
            [str(corpus / "rows.jsonl")],
            str(tmp_path / "out"),
            seed=0,
            threads=1,
            text_field="text",
            max_memory=2_000_000,
            progress=_stop_at_half,
            **options,
        )
    finished = sorted((tmp_path / "out").glob("train_*.bin"))
    assert len(finished) > 3
    damaged = bytearray(finished[1].read_bytes())
    damaged[5_000] ^= 1
    finished[1].write_bytes(damaged)
    prepare(corpus / "rows.jsonl", tmp_path / "out", **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def _stop_at_half(phase: str, done: int, total: int, n_tokens: int) -> None:
    if phase == "encoding" and done > total / 2:
        raise InterruptedError
