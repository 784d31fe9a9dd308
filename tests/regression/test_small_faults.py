"""Faults at the edges of runs, data and pages, each named after what broke."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from bytemill import Tokenizer, _core
from bytemill.data import statistics
from bytemill.errors import CheckpointError, ConfigError, DivergedError, FormatError
from bytemill.experiment.demo import measures as demo_measures
from bytemill.model import load_pretrained
from bytemill.model.lora import LoraConfig, apply_lora
from bytemill.model.lora.apply import lora_layers
from bytemill.progress import PhaseProgress
from bytemill.report.run import run_page
from bytemill.report.run_curves import MAX_OTHER_CURVES
from bytemill.train.loop import fit
from bytemill.train.machine.environment import describe_environment
from bytemill.train.run.checkpoint import _spell, newest_valid
from bytemill.train.run.progress import ProgressLine
from bytemill.train.run.tensors import first_not_finite
from stand_ins import tiny_config, tiny_task


def test_infinite_weights_never_reach_a_checkpoint(tmp_path):
    run = tmp_path / "run"
    fit(tiny_task(), tiny_config(max_steps=2), run, progress=False)
    config = tiny_config(max_steps=3, learning_rate=3e38, min_learning_rate=0, warmup_steps=1, keep_checkpoints=1)
    with pytest.raises(DivergedError, match=r"step 3: \S+ is NaN or infinite after this step, and was not saved"):
        fit(tiny_task(), config, run, resume=True, progress=False)
    checkpoint, skipped = newest_valid(run)
    assert (checkpoint.step, skipped) == (2, [])


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_first_tensor_that_is_not_finite_is_named(value, dtype):
    good = {
        "empty": torch.empty(0),
        "whole": torch.tensor([1]),
        "most": torch.full((3,), torch.finfo(dtype).max, dtype=dtype),
    }
    assert first_not_finite(good) is None
    bad = torch.zeros(2, 3, dtype=dtype)
    bad[1, 2] = value
    assert first_not_finite({**good, "bad": bad, "also": bad}) == "bad"


def test_a_checkpoint_with_settings_of_another_version_is_one_sentence(tmp_path):
    run = tmp_path / "run"
    fit(tiny_task(), tiny_config(max_steps=2), run, progress=False)
    file = newest_valid(run)[0].path / "state.json"
    state = json.loads(file.read_text())
    state["settings"]["train"]["of_the_future"] = 1
    file.write_text(_spell(state))
    with pytest.raises(CheckpointError, match=r"state.json: written by another version.*of_the_future"):
        fit(tiny_task(), tiny_config(max_steps=4), run, resume=True, progress=False)


@pytest.mark.parametrize("name", [r"$\frac{$", "$$", "$", "a$b$"])
def test_a_metric_may_be_called_as_a_broken_formula(tmp_path, name):
    lines = "".join(json.dumps({"step": step, "loss": 1.0, name: step}) + "\n" for step in range(3))
    (tmp_path / "metrics.jsonl").write_text(lines)
    assert name in run_page(tmp_path).html()


def test_a_page_draws_few_unknown_metrics_and_lists_the_others(tmp_path):
    names = [f"odd_{i:03}" for i in range(200)]
    lines = "".join(json.dumps({"step": step, **dict.fromkeys(names, step)}) + "\n" for step in range(2))
    (tmp_path / "metrics.jsonl").write_text(lines)
    page = run_page(tmp_path).html()
    assert page.count("<svg") == MAX_OTHER_CURVES
    assert [name for name in names if name not in page] == []


def test_a_table_of_very_many_sources_is_short(tmp_path, capsys):
    found = {
        "n_vocab": 300,
        "sources": [{"name": f"file_{i}", "bytes": i, "share": i / 4_999_950_000} for i in range(100_000)],
    }
    statistics.print_statistics(found, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 2 * statistics.MAX_SHOWN_SOURCES
    assert any("file_99999" in line for line in lines)
    assert "and 99,950 smaller sources with 99.90%" in lines[-1]
    found["sources"] = found["sources"][: statistics.MAX_SHOWN_SOURCES]
    statistics.print_statistics(found, as_json=False)
    assert "smaller" not in capsys.readouterr().out


def test_a_models_own_code_is_refused_without_a_question(tmp_path):
    code = {"model_type": "own", "auto_map": {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}}
    (tmp_path / "config.json").write_text(json.dumps(code))
    (tmp_path / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(FormatError, match="transformers cannot load it"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_stdin_is_copied_leaves_no_copy(tmp_path, number):
    Tokenizer.train(texts=["low lower"], vocab_size=262).save(tmp_path / "t.json")
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-m", "bytemill", "data", "prepare", "-", "-t", "t.json", "-o", "shards"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"text " * 1_000_000)
        process.stdin.flush()
        for _ in range(600):
            if any(path.stat().st_size > 1_000_000 for path in tmp_path.glob(".bytemill-*/.stdin.txt.*.tmp")):
                break
            time.sleep(0.1)
        else:
            pytest.fail("nothing was copied")
        os.kill(process.pid, number)
        assert process.wait(60) == 128 + number
        assert process.stderr.read().decode() == f"bytemill: stopped by {number.name}\n"
    assert sorted(tmp_path.iterdir()) == before


def test_progress_is_not_reported_for_each_row(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"text": ["a b c"] * 200_000}), tmp_path / "rows.parquet")
    tokenizer = Tokenizer.train(texts=["a b c"], vocab_size=258)
    heard = []
    _core.prepare_shards(
        [str(tmp_path / "rows.parquet")],
        str(tmp_path / "shards"),
        tokenizer=tokenizer,
        shard_tokens=1_000_000,
        val=0.01,
        seed=0,
        threads=1,
        text_field="text",
        max_memory=None,
        check=True,
        progress=lambda *told: heard.append(told),
    )
    assert {phase for phase, *_ in heard} == {"scanning", "encoding", "checking"}
    assert len(heard) < 2_000
    ends = {phase: (done, total) for phase, done, total, _ in heard}
    assert all(done == total for done, total in ends.values())


def linears():
    return nn.ModuleDict({"a" * 40: nn.Linear(2, 2), "query": nn.Linear(2, 2), "key": nn.Linear(2, 2)})


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(a*)*b", r"(.*a){25}b", "(a+)+!"])
def test_an_exploding_pattern_of_modules_ends_at_once(pattern):
    began = time.monotonic()
    with contextlib.suppress(ConfigError):
        apply_lora(linears(), LoraConfig(r=1, target_modules=pattern))
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("pattern", [r"(?=(a+))\1+b", r"(a+)\1+\1+\1+b", "(?>a+)+b"])
def test_a_pattern_beyond_linear_time_is_bounded(pattern):
    with pytest.raises(ConfigError, match="target_modules"):
        apply_lora(linears(), LoraConfig(r=1, target_modules=pattern))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("query|key", ["query", "key"]),
        (r".*(er|ey)y?", ["query", "key"]),
        (r"(?!key).*y", ["query"]),
        (r"(?i)QUERY", ["query"]),
        (r"q\w+", ["query"]),
    ],
)
def test_ordinary_patterns_mean_what_they_mean_to_peft(pattern, expected):
    model = apply_lora(linears(), LoraConfig(r=1, target_modules=pattern))
    assert [name for name, _ in lora_layers(model)] == expected


@pytest.mark.parametrize("pattern", ["(", "a)|(b", "[", "*"])
def test_what_is_not_a_pattern_is_one_sentence(pattern):
    with pytest.raises(ConfigError, match="target_modules: "):
        apply_lora(linears(), LoraConfig(r=1, target_modules=pattern))


def test_a_package_without_a_version_ended_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page of a demo from a checkout that pip did not install has no version of bytemill."""
    found = describe_environment(torch.device("cpu"))
    found["packages"]["bytemill"] = None
    monkeypatch.setattr(demo_measures, "describe_environment", lambda _device: found)
    assert demo_measures.machine().versions["bytemill"] == "unknown"


def test_progress_bars_left_an_empty_line_in_a_log_file(capfd):
    """With rich before 14.3."""
    with PhaseProgress({"counting": "bytes"}, shown=True) as progress:
        progress.update("counting", 1, 2)
    ProgressLine(3, shown=True).close()
    assert capfd.readouterr().err == ""
