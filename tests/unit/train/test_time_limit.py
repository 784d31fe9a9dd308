"""A run with a time limit stops before it, saved, and goes on to the same weights as a run left alone."""

import time

import pytest
import torch

from bytemill.cli.given_settings import seconds_of
from bytemill.errors import ArgumentError, ConfigError
from bytemill.train import clock as clock_module
from bytemill.train.clock import Clock
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines
from stand_ins import TinyModel, TinyStream, tiny_config, tiny_task


class FakeTime:
    """Time that passes only while batches are read (10 s each) or a model validates (as many as are set)."""

    def __init__(self, monkeypatch, validation_seconds=5.0):
        self.now, self.validation_seconds = 1000.0, validation_seconds
        monkeypatch.setattr(clock_module.time, "monotonic", lambda: self.now)

    def task(self):
        elapsed = self

        class SlowStream(TinyStream):
            def __next__(self):
                elapsed.now += 10
                return super().__next__()

        model = TinyModel(8, 0.1)
        plain = tiny_task(model=model)

        def validate():
            self.now += self.validation_seconds
            return plain.validate()

        return tiny_task(model=model, batches=SlowStream(), validate=validate)


def logged(run):
    keys = ("step", "loss", "lr", "grad_norm", "tokens", "val_loss")
    return [{key: line.get(key) for key in keys} for line in read_json_lines(run / "metrics.jsonl")]


@pytest.mark.parametrize("limit", [0.5, 11.0, 28.0, 33.0, 45.0])
def test_a_stopped_run_goes_on_to_the_weights_of_one_left_alone(limit, monkeypatch, tmp_path):
    elapsed = FakeTime(monkeypatch)
    alone = elapsed.task()
    assert fit(alone, tiny_config(), tmp_path / "alone", progress=False).is_complete
    tries, done = 0, False
    while not done:
        began, task = elapsed.now, elapsed.task()
        outcome = fit(task, tiny_config(max_seconds=limit), tmp_path / "run", resume=tries > 0, progress=False)
        tries, done = tries + 1, outcome.is_complete
        assert elapsed.now - began <= max(limit, 20)  # one step and a validation are done in any case
        assert (tmp_path / "run" / "checkpoints" / f"step_{outcome.steps:08d}").is_dir()
    assert tries > 1
    for name, tensor in alone.model.state_dict().items():
        assert torch.equal(tensor, task.model.state_dict()[name]), name
    assert logged(tmp_path / "run") == logged(tmp_path / "alone")


def test_a_validation_that_would_end_after_the_limit_is_left_for_the_next_try(monkeypatch, tmp_path):
    elapsed = FakeTime(monkeypatch, validation_seconds=30)
    # 30 s for the first validation, 20 s for two steps; the next 30 s do not fit.
    outcome = fit(elapsed.task(), tiny_config(max_seconds=70), tmp_path / "run", progress=False)
    assert (outcome.steps, outcome.is_complete) == (2, False)
    assert elapsed.now == 1050
    assert [line["step"] for line in logged(tmp_path / "run")] == [0, 1]
    outcome = fit(elapsed.task(), tiny_config(), tmp_path / "run", resume=True, progress=False)
    assert (outcome.steps, outcome.is_complete) == (6, True)
    assert [line["step"] for line in logged(tmp_path / "run")] == list(range(7))


def test_saving_is_counted_in(monkeypatch):
    FakeTime(monkeypatch)
    assert Clock(10, checkpoint_bytes=900_000_000).has_time_for()  # 9 s at 100 MB/s
    assert not Clock(10, checkpoint_bytes=1_100_000_000).has_time_for()


def test_a_limit_that_is_not_reached_changes_nothing(monkeypatch, tmp_path):
    elapsed = FakeTime(monkeypatch)
    outcome = fit(elapsed.task(), tiny_config(max_seconds=10_000), tmp_path / "run", progress=False)
    assert (outcome.steps, outcome.is_complete) == (6, True)


def test_a_clock_that_is_set_back_does_not_move_the_limit(monkeypatch):
    clock = Clock(3600, checkpoint_bytes=0)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert clock.has_time_for("step")


def test_the_limit_is_a_setting_that_a_resume_may_change(tmp_path):
    fit(tiny_task(), tiny_config(max_steps=2, max_seconds=1e6), tmp_path / "run", progress=False)
    fit(tiny_task(), tiny_config(max_steps=4, max_seconds=0), tmp_path / "run", resume=True, progress=False)
    assert load_config(tmp_path / "run" / "config.toml").train.max_seconds == 0
    changed = {line["setting"] for line in read_json_lines(tmp_path / "run" / "changes.jsonl")}
    assert changed == {"train.max_seconds", "train.max_steps"}


@pytest.mark.parametrize("wrong", ["", "1x", "h", "1.5h", "-3", "11:30", "1m2h"])
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(ArgumentError, match=r"--time-limit is .*, expected a time such as 11h30m, 45m or 90s"):
        seconds_of(wrong)


def test_a_negative_limit_is_refused():
    with pytest.raises(ConfigError, match=r"train\.max_seconds is -1"):
        load_config(None, ["train.max_seconds=-1"])
