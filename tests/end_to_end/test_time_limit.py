"""`--time-limit` and Ctrl-C stop a run, and the line that it prints continues the run to the same weights."""

import os
import shlex
import signal

import pytest
import torch
from safetensors.torch import load_file

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data import prepare
from bytemill.train.run.folder import Run
from bytemill.train.run.metrics import read_json_lines


@pytest.fixture
def bytemill(monkeypatch, capsys):
    """Run a command line in this process; its exit code and what it said."""

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code or 0, capsys.readouterr()

    return run


@pytest.fixture
def settings(tmp_path):
    """Settings of a run of four steps."""
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat, and the dog sat on the cat. " * 400)
    tokenizer = Tokenizer.train(files=[text], vocab_size=300)
    tokenizer.save(tmp_path / "tokenizer.json")
    prepare([text], tmp_path / "shards", tokenizer=tokenizer, val=0.1)
    model = ["model.n_layer=1", "model.n_head=1", "model.n_embd=8", "model.n_positions=16"]
    data = [f"data.path={tmp_path / 'shards'}", "data.batch_size=2", "data.seq_len=16"]
    train = ["train.max_steps=4", "train.eval_every=2", "train.warmup_steps=1", "train.tensorboard=false"]
    return ["--set", *model, *data, *train]


def test_the_line_that_a_stopped_run_prints_continues_it(bytemill, settings, tmp_path):
    code, _ = bytemill("train", *settings, "-o", tmp_path / "alone")
    assert code == 0

    run = tmp_path / "my run"
    code, said = bytemill("train", *settings, "-o", run, "--time-limit", "0.001s")
    assert code == 0
    assert said.out.strip() == str(run)
    assert "stopped after step 1 of 4, which is saved: train.max_seconds is 0.001" in said.err
    line = next(line for line in said.err.splitlines() if line.startswith("Continue: "))
    command = shlex.split(line.removeprefix("Continue: "))
    assert command == ["bytemill", "train", "-o", str(run), "--resume"]

    code, said = bytemill(*command[1:])
    assert code == 0
    assert "stopped after step 2 of 4" in said.err  # the limit is one of the run's settings
    code, said = bytemill(*command[1:], "--time-limit", "0")
    assert code == 0
    assert "4 steps done: loss" in said.err

    last = "checkpoints/step_00000004/model.safetensors"
    for name, tensor in load_file(tmp_path / "alone" / last).items():
        assert torch.equal(tensor, load_file(run / last)[name]), name
    alone, continued = (read_json_lines(folder / "metrics.jsonl") for folder in (tmp_path / "alone", run))
    assert [line.get("val_loss") for line in alone] == [line.get("val_loss") for line in continued]


def test_the_line_after_ctrl_c_names_the_saved_step_and_continues_the_run(bytemill, settings, tmp_path, monkeypatch):
    assert bytemill("train", *settings, "-o", tmp_path / "alone")[0] == 0
    log = Run.log

    def interrupted(run, step, *measured):
        log(run, step, *measured)
        if step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    run = tmp_path / "my run"
    with monkeypatch.context() as patched:
        patched.setattr(Run, "log", interrupted)
        code, said = bytemill("train", *settings, "-o", run)
    assert code == 130
    last = said.err.splitlines()[-1]
    assert last == f"bytemill: stopped by SIGINT. Saved step 3. Continue: bytemill train -o '{run}' --resume"
    code, said = bytemill(*shlex.split(last.partition("Continue: ")[2])[1:])
    assert code == 0
    assert "resumed after step 3" in said.err
    assert "4 steps done: loss" in said.err
    weights = "checkpoints/step_00000004/model.safetensors"
    for name, tensor in load_file(tmp_path / "alone" / weights).items():
        assert torch.equal(tensor, load_file(run / weights)[name]), name


def test_a_time_limit_that_is_no_time_is_refused_before_anything_is_read(bytemill, tmp_path):
    code, said = bytemill("train", "--time-limit", "soon", "-o", tmp_path / "run")
    assert code == 2
    assert said.err == "bytemill: --time-limit is 'soon', expected a time such as 11h30m, 45m or 90s\n"
    assert not (tmp_path / "run").exists()
