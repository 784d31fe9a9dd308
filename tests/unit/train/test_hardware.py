"""MFU, the peak that it is a share of, and what is said where there is none; and where memory runs out."""

import time

import pytest
import torch

from bytemill.errors import ConfigError
from bytemill.train import learner
from bytemill.train.loop import fit
from bytemill.train.machine import hardware
from bytemill.train.machine.hardware import peak_flops
from bytemill.train.run.metrics import read_json_lines
from stand_ins import tiny_config, tiny_task

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _measured_anew():
    hardware._measured_cpu_peak.cache_clear()
    yield
    hardware._measured_cpu_peak.cache_clear()


def test_a_slow_start_does_not_lose_the_peak(monkeypatch):
    """The time for trials began before the first product, which starts threads: the peak was 0, and MFU left out."""
    n_calls, product = 0, torch.mm

    def slow_at_first(left, right):
        nonlocal n_calls
        n_calls += 1
        time.sleep(0.2 if n_calls == 1 else 0)
        return product(left, right)

    monkeypatch.setattr(torch, "mm", slow_at_first)
    assert peak_flops(CPU, "fp32") > 1e8
    assert n_calls >= 4


def test_a_product_longer_than_the_time_for_trials_is_measured(monkeypatch):
    monkeypatch.setattr(torch, "mm", lambda *_: time.sleep(0.06))
    assert peak_flops(CPU, "fp32") == pytest.approx(2 * 1024**3 / 0.06, rel=0.2)


def test_mfu_is_the_share_of_the_peak_on_every_line(tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "peak_flops", lambda *_: 1e6)
    fit(tiny_task(flops_per_token=5.0), tiny_config(max_steps=6), tmp_path / "run", progress=False)
    lines = [line for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if line["step"]]
    assert len(lines) == 6
    for line in lines:
        assert line["mfu"] == pytest.approx(line["tokens_per_s"] * 5.0 / 1e6, abs=1e-4)
        assert line["mfu"] > 0


def test_where_the_peak_is_unknown_the_run_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(learner, "peak_flops", lambda *_: None)
    fit(tiny_task(flops_per_token=5.0), tiny_config(max_steps=1), tmp_path / "run")
    assert "MFU is not logged: the peak speed of cpu is not known" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 34359738368 bytes"
        ),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_is_one_sentence_with_what_helps(tmp_path, error):
    def loss(*_):
        raise error

    with pytest.raises(ConfigError, match=r"out of memory: lower data\.batch_size and raise train\.micro_batches"):
        fit(tiny_task(loss=loss), tiny_config(max_steps=1), tmp_path / "run", progress=False)


def test_another_error_of_torch_stays_what_it_is(tmp_path):
    def loss(*_):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        fit(tiny_task(loss=loss), tiny_config(max_steps=1), tmp_path / "run", progress=False)
