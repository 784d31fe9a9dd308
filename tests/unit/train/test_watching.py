"""What watches a run without changing it: profiler, Weights & Biases; and the search for a batch size before it."""

import json
import sys
import types

import pytest
import torch

from bytemill.errors import ConfigError
from bytemill.experiment import batch_size
from bytemill.experiment.batch_size import find_batch_size
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines
from stand_ins import tiny_config, tiny_task


def losses(folder):
    return [line.get("loss") for line in read_json_lines(folder / "metrics.jsonl")]


def test_a_profiled_run_leaves_a_trace_and_the_same_losses(tmp_path):
    fit(tiny_task(), tiny_config(max_steps=8), tmp_path / "plain", progress=False)
    fit(tiny_task(), tiny_config(max_steps=8, profile_steps=2), tmp_path / "watched", progress=False)
    assert losses(tmp_path / "plain") == losses(tmp_path / "watched")
    trace = json.loads((tmp_path / "watched" / "profile" / "trace.json").read_text())
    assert any("backward" in str(event.get("name")) for event in trace["traceEvents"])
    assert "aten::" in (tmp_path / "watched" / "profile" / "operations.txt").read_text()
    assert not (tmp_path / "plain" / "profile").exists()


class FakeRun:
    def __init__(self, options):
        self.options, self.lines, self.is_finished = options, [], False

    def log(self, values, step):
        self.lines.append((step, values))

    def finish(self):
        self.is_finished = True


def test_metrics_go_to_weights_and_biases_and_a_resumed_run_goes_on_there(tmp_path, monkeypatch):
    runs = []
    wandb = types.ModuleType("wandb")
    wandb.init = lambda **options: runs.append(FakeRun(options)) or runs[-1]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    fit(tiny_task(), tiny_config(max_steps=3, wandb="mills"), tmp_path / "run", progress=False)
    fit(tiny_task(), tiny_config(max_steps=5, wandb="mills"), tmp_path / "run", resume=True, progress=False)
    first, second = runs
    assert (first.options["project"], first.options["name"]) == ("mills", "run")
    assert first.options["config"]["train"]["max_steps"] == 3
    assert first.options["id"] == second.options["id"]
    assert [step for step, _ in first.lines + second.lines] == [0, 1, 2, 3, 4, 5]
    assert first.lines[1][1]["loss"] == read_json_lines(tmp_path / "run" / "metrics.jsonl")[1]["loss"]
    assert first.is_finished
    assert second.is_finished


def test_without_the_client_of_weights_and_biases_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        fit(tiny_task(), tiny_config(wandb="mills"), tmp_path / "run", progress=False)
    assert fit(tiny_task(), tiny_config(max_steps=1), tmp_path / "run", progress=False).steps == 1


class Trials:
    """Stands where run_trial would: `speeds` by batch size; a size that is not there does not fit."""

    def __init__(self, speeds, mib_a_sample=1.0):
        self.speeds, self.mib_a_sample, self.tried = speeds, mib_a_sample, []

    def __call__(self, size, settings, *, n_steps):
        assert (settings.micro_batches, settings.compile) == (1, False)
        self.tried.append(size)
        if size not in self.speeds:
            raise torch.OutOfMemoryError("no")
        return types.SimpleNamespace(tokens_per_second=self.speeds[size], memory_mib=self.mib_a_sample * size)


def search(monkeypatch, trials, **settings):
    monkeypatch.setattr(batch_size, "run_trial", trials)
    monkeypatch.setattr(batch_size, "free_memory_mib", lambda _device: 100.0)
    config = tiny_config(find_batch_size=True, compile=True, **settings)
    return find_batch_size(config, lambda tried: tried.data.batch_size)


def test_the_fastest_size_that_fits_is_taken_and_the_total_batch_kept(monkeypatch):
    seq_len = tiny_config().data.seq_len
    trials = Trials({1: 10.0, 2: 20.0, 3: 25.0, 6: 40.0})
    found = search(monkeypatch, trials, total_batch_tokens=12 * seq_len)
    assert (found.data.batch_size, trials.tried) == (6, [1, 2, 3, 6, 12])
    assert (found.train.total_batch_tokens, found.train.find_batch_size, found.train.compile) == (
        12 * seq_len,
        False,
        True,
    )


def test_the_search_ends_when_larger_sizes_are_slower_or_memory_is_near_its_end(monkeypatch):
    total = 64 * tiny_config().data.seq_len
    trials = Trials({1: 30.0, 2: 40.0, 4: 35.0, 8: 30.0, 16: 99.0})
    assert search(monkeypatch, trials, total_batch_tokens=total).data.batch_size == 2
    assert trials.tried == [1, 2, 4, 8]
    trials = Trials({1: 1.0, 2: 2.0, 4: 3.0}, mib_a_sample=20.0)
    assert search(monkeypatch, trials, total_batch_tokens=total).data.batch_size == 4
    assert trials.tried == [1, 2, 4]


def test_a_search_that_cannot_be_says_why(monkeypatch):
    with pytest.raises(ConfigError, match=r"needs train.total_batch_tokens"):
        search(monkeypatch, Trials({}))
    with pytest.raises(ConfigError, match=r"multiple of data.seq_len x processes"):
        search(monkeypatch, Trials({}), total_batch_tokens=tiny_config().data.seq_len + 1)
    with pytest.raises(ConfigError, match="not even one sample fits"):
        search(monkeypatch, Trials({}), total_batch_tokens=tiny_config().data.seq_len)


def test_a_real_search_ends_with_a_size_that_divides():
    seq_len = tiny_config().data.seq_len
    config = tiny_config(find_batch_size=True, total_batch_tokens=4 * seq_len)
    lines = []
    assert find_batch_size(config, lambda _: tiny_task(), say=lines.append).data.batch_size in (1, 2, 4)
    assert lines[0].startswith("batch of 1: ")
