"""Threads sleep while they wait on a busy processor and spin on a quiet one; the numbers are the same."""

import threading

import pytest
import torch

from bytemill.train.machine import waiting
from bytemill.train.machine.waiting import ThreadWaiting


@pytest.fixture
def clock(monkeypatch):
    now = {"seconds": 0.0}
    monkeypatch.setattr(waiting.time, "monotonic", lambda: now["seconds"])
    monkeypatch.setattr(waiting.torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr(ThreadWaiting, "_found_busy", set())
    return now


def steps(watched, clock, n, seconds, share):
    for _ in range(n):
        clock["seconds"] += seconds
        watched.after_step(seconds, cpu_seconds=seconds * 2 * share)


def second_teams():
    return [thread for thread in threading.enumerate() if thread.name == "bytemill-second-team"]


def test_a_quiet_processor_changes_nothing(clock):
    watched = ThreadWaiting(enabled=True, n_parameters=9)
    steps(watched, clock, 1000, 0.1, share=0.99)
    assert not watched.is_patient
    assert not second_teams()


def test_on_a_busy_processor_threads_sleep_until_a_probe_is_faster(clock):
    watched = ThreadWaiting(enabled=True, n_parameters=9)
    steps(watched, clock, 1, 5.0, share=0.5)
    assert not watched.is_patient  # a first step allocates memory, mostly with one thread
    steps(watched, clock, 4, 0.1, share=0.5)
    assert not watched.is_patient  # too short to judge
    steps(watched, clock, 1, 0.1, share=0.5)
    assert watched.is_patient
    assert len(second_teams()) == 1
    steps(watched, clock, 101, 0.1, share=0.4)
    assert not watched.is_patient  # it probes after ten seconds
    steps(watched, clock, 1, 3.0, share=0.5)
    assert watched.is_patient  # the step took longer: still busy
    steps(watched, clock, 199, 0.1, share=0.4)
    assert watched.is_patient  # the next probe comes after twice the time
    steps(watched, clock, 2, 0.1, share=0.4)
    assert not watched.is_patient
    steps(watched, clock, 50, 0.05, share=0.99)
    assert not watched.is_patient  # faster: the others have ended
    assert not second_teams()


def test_probes_become_rare_but_never_end(clock):
    watched = ThreadWaiting(enabled=True, n_parameters=9)
    probes = 0
    for _ in range(20_000):
        was_patient = watched.is_patient
        steps(watched, clock, 1, 0.1 if was_patient else 2.0, share=0.5)
        probes += was_patient and not watched.is_patient
    assert 10 <= probes <= 20_000 * 0.1 / 160 + 6
    watched.close()


def test_a_run_leaves_no_thread_behind(clock):
    watched = ThreadWaiting(enabled=True, n_parameters=9)
    steps(watched, clock, 10, 0.1, share=0.3)
    assert second_teams()
    watched.close()
    watched.close()
    assert not second_teams()


def test_the_next_training_begins_with_what_the_last_one_found(clock):
    first = ThreadWaiting(enabled=True, n_parameters=9)
    steps(first, clock, 6, 0.1, share=0.5)
    first.close()
    second = ThreadWaiting(enabled=True, n_parameters=9)
    assert second.is_patient
    assert not ThreadWaiting(enabled=True, n_parameters=8).is_patient  # a model of another size
    steps(second, clock, 101, 0.1, share=0.4)
    steps(second, clock, 50, 0.05, share=0.99)  # the probe is faster, and the processor is quiet
    second.close()
    assert not ThreadWaiting(enabled=True, n_parameters=9).is_patient


@pytest.mark.parametrize(("enabled", "threads"), [(False, 2), (True, 1)])
def test_it_is_for_several_threads_on_a_cpu(enabled, threads, clock, monkeypatch):
    monkeypatch.setattr(waiting.torch, "get_num_threads", lambda: threads)
    watched = ThreadWaiting(enabled=enabled, n_parameters=9)
    steps(watched, clock, 100, 0.1, share=0.1)
    assert not watched.is_patient


def test_the_arithmetic_is_the_same(monkeypatch):
    torch.manual_seed(0)
    a, b = torch.randn(700, 300), torch.randn(300, 500)
    expected = (a @ b).softmax(dim=1).sum(dim=0)
    team = waiting._SleepingTeam()
    assert torch.equal((a @ b).softmax(dim=1).sum(dim=0), expected)
    team.release()
