"""The ladder and the dry run on a model of nothing but shape."""

import json

import pytest
import torch

from bytemill.experiment.dry_run import dry_run
from bytemill.experiment.ladder import RUNGS, LadderSize, climb
from bytemill.model import GPT2Config
from bytemill.report.ladder import ladder_page
from stand_ins import tiny_config, tiny_task

SIZE = LadderSize(GPT2Config(vocab_size=100, n_positions=16, n_embd=16, n_layer=1, n_head=2), batch_size=2, seq_len=16)


@pytest.fixture(scope="module")
def measurements():
    compiled = torch.compile
    torch.compile = lambda module: module  # a compiler takes a minute, and adds nothing to what is tested here
    try:
        return climb(SIZE, device="cpu")
    finally:
        torch.compile = compiled


def test_every_rung_has_the_same_loss_or_a_reason(measurements):
    assert [one.rung for one in measurements] == list(RUNGS)
    reasons = [one.left_out for one in measurements if one.tokens_per_s is None]
    assert "cpu has no TF32" in reasons
    same_weights = [one.loss for one in measurements if one.loss is not None and not one.rung.padded]
    assert same_weights == pytest.approx([same_weights[0]] * len(same_weights), abs=0.02)
    assert all(one.tokens_per_s > 0 and one.memory_mib > 0 for one in measurements if one.tokens_per_s is not None)


def test_rungs_that_cannot_be_compiled_are_left_out(monkeypatch):
    monkeypatch.setattr("bytemill.train.machine._compiler", lambda: None)
    found = climb(LadderSize(SIZE.model, batch_size=1, seq_len=4), device="cpu")
    left_out = {one.rung.name: one.left_out for one in found if one.rung.compiles}
    assert len(left_out) == 3
    assert all("compile" in reason or "bf16" in reason for reason in left_out.values())


def test_the_page_and_the_json_hold_every_rung(measurements):
    page = ladder_page(SIZE, measurements).html()
    spelled = json.dumps([one.as_json() for one in measurements])
    for rung in RUNGS:
        assert rung.name in page
        assert rung.name in spelled


def test_a_dry_run_writes_nothing_and_tells_what_a_run_would_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = dry_run(tiny_task(), tiny_config(max_steps=1000, micro_batches=3))
    assert not list(tmp_path.iterdir())
    assert found.n_parameters == found.n_trainable == 17 * 8 + 8 * 8 + 8
    assert found.checkpoint_bytes == 3 * 4 * found.n_parameters
    assert (found.tokens_per_step, found.total_tokens) == (30, 30_000)
    assert found.seconds == pytest.approx(1000 * found.trial.seconds_per_step)
