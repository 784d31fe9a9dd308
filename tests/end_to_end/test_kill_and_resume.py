"""A run that was killed goes on as if it had not been: weights, optimizer and metrics equal to the bit.

And two processes do what one does with two micro-batches. See reliability.md, rows 1 and 9.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("train_in_memory.py")
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(SCRIPT.parents[1]), *filter(None, sys.path)]),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def start(*arguments, **environment):
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env=ENVIRONMENT | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def start_pair(*arguments):
    """Two processes of one run, as torchrun would start them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [start(*arguments, RANK=str(rank), LOCAL_RANK=str(rank), **world) for rank in range(2)]


def finish(process):
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return json.loads(out.splitlines()[-1])  # before it some torches say on stdout that Gloo is connected


def test_twenty_kills_at_random_instants(tmp_path):
    assert finish(start("kills", tmp_path, 20, 0))["kills"] == 20


@pytest.mark.long
def test_two_hundred_kills_at_random_instants(tmp_path):
    assert finish(start("kills", tmp_path, 200, 1))["kills"] == 200


def test_kills_before_every_fifth_call_that_touches_the_disk(tmp_path):
    assert finish(start("faults", tmp_path, 5))["kills"] >= 10


@pytest.mark.long
def test_kills_before_every_call_that_touches_the_disk(tmp_path):
    done = finish(start("faults", tmp_path, 1))
    assert done["kills"] == done["calls"] >= 50


def test_two_processes_equal_one_with_two_micro_batches(tmp_path):
    """To the bit, for 100 steps, labels ragged."""
    pair = start_pair("one", tmp_path / "two")
    alone = finish(start("one", tmp_path / "one"))
    together, nothing = (finish(process) for process in pair)
    assert nothing == {}
    assert together == alone


def test_two_processes_stop_for_the_time_limit_after_the_same_step(tmp_path):
    ended = [finish(process) for process in start_pair("timed", tmp_path / "run")]
    assert ended == [{"steps": 1, "is_complete": False}] * 2
    assert (tmp_path / "run" / "checkpoints" / "step_00000001").is_dir()


def test_sharded_weights_train_alike_and_resume_at_another_number_of_processes(tmp_path):
    """FSDP2 on two processes, then on one: within 1e-5 of DDP on two, then on one; validated and sampled on the way."""
    pairs = [start_pair("part", tmp_path / name, 10, fsdp) for name, fsdp in (("fsdp", 1), ("ddp", 0))]
    for pair in pairs:
        for process in pair:
            finish(process)
    sharded, plain = (finish(start("part", tmp_path / name, 20, 0)) for name in ("fsdp", "ddp"))
    alone = finish(start("part", tmp_path / "one", 20, 0))
    assert len(sharded["losses"]) == 21
    for other in (plain, alone):
        for losses, expected in zip(sharded["losses"], other["losses"], strict=True):
            assert losses == pytest.approx(expected, abs=1e-5)
        for name, weight in sharded["weights"].items():
            assert weight == pytest.approx(other["weights"][name], abs=1e-5)
