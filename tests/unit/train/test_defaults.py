"""What a setting is when nobody gives it, how long a run becomes, and what is said before its first step."""

import json

import pytest
import torch
from typer.testing import CliRunner

from bytemill.cli import app
from bytemill.errors import ConfigError
from bytemill.train.config import RunConfig, dump_toml, load_config
from bytemill.train.loop import fit
from bytemill.train.plan import opening_lines, with_steps
from bytemill.train.run.metrics import read_json_lines
from bytemill.train.task import Epoch
from stand_ins import tiny_config, tiny_task


@pytest.mark.parametrize(
    ("task", "more", "expected"),
    [
        ("lm", [], (3, 8, 2e-4, 2e-5)),
        ("instruct", [], (3, 8, 2e-4, 2e-5)),
        ("instruct", ["lora.r=0"], (3, 0, 5e-5, 5e-6)),
        ("chat", ["lora.r=4"], (3, 4, 2e-4, 2e-5)),
        ("classify", [], (5, 0, 5e-5, 5e-6)),
        ("classify", ["lora.r=8"], (5, 8, 2e-4, 2e-5)),
        ("preference", [], (1, 8, 5e-6, 5e-7)),
        ("preference", ["lora.r=0"], (1, 0, 5e-6, 5e-7)),
        ("pretrain", [], (None, 0, 6e-4, 6e-5)),
        ("instruct", ["train.max_steps=9"], (None, 8, 2e-4, 2e-5)),
        ("instruct", ["train.epochs=7", "train.learning_rate=1e-3"], (7, 8, 1e-3, 1e-4)),
    ],
)
def test_each_task_has_defaults_of_its_own(task, more, expected):
    config = load_config(None, [f"task={task}", *more])
    train = config.train
    assert (train.epochs, config.lora.r, train.learning_rate, train.min_learning_rate) == expected


def test_51_rows_are_20_steps_with_a_warm_up_that_ends():
    """One epoch of 51 rows was 7 steps with a warm-up of 100; without epochs it was 1,000 steps, 157 epochs."""
    epoch = Epoch(51, "rows", batch_size=8)
    settled = with_steps(load_config(None, ["task=instruct"]), epoch).train
    assert (settled.max_steps, settled.warmup_steps) == (20, 2)
    one_epoch = with_steps(load_config(None, ["task=instruct", "train.epochs=1"]), epoch).train
    assert (one_epoch.max_steps, one_epoch.warmup_steps) == (7, 0)
    hardly_any = with_steps(load_config(None, ["task=instruct", "train.epochs=1e-6"]), epoch).train
    assert hardly_any.max_steps == 1


@pytest.mark.parametrize(("steps", "warmup"), [(1000, 100), (20, 2), (5, 0), (100_000, 100)])
def test_the_warm_up_of_pretraining_is_at_most_a_tenth(steps, warmup):
    assert load_config(None, [f"train.max_steps={steps}"]).train.warmup_steps == warmup
    assert load_config(None, [f"train.max_steps={steps}", "train.warmup_steps=3"]).train.warmup_steps == 3


def test_the_defaults_of_python_are_those_of_pretraining():
    train = RunConfig().train
    assert (train.max_steps, train.epochs, train.warmup_steps, train.warmup_share) == (1000, None, 100, None)
    assert (train.learning_rate, train.min_learning_rate, train.keep_best) == (6e-4, 6e-5, False)
    assert load_config() == RunConfig()


@pytest.mark.parametrize("task", ["pretrain", "instruct", "classify", "preference"])
def test_a_run_of_an_earlier_version_keeps_its_settings(task, tmp_path):
    """Its config.toml gives every setting that there was."""
    new = ("warmup_share", "clip_after_warmup", "sample_each_epoch", "keep_best", "more_val")
    old = RunConfig(task=task, train={"max_steps": 7, "warmup_steps": 5, "learning_rate": 1e-3})
    lines = [line for line in dump_toml(old).splitlines() if not line.startswith(new)]
    (tmp_path / "config.toml").write_text("\n".join(lines))
    assert load_config(tmp_path / "config.toml") == old


def test_a_learning_rate_alone_takes_its_floor_along(tmp_path):
    """`train.learning_rate=5e-5` was refused: min_learning_rate 6e-05 was above it."""
    for config in (load_config(None, ["train.learning_rate=5e-5"]), RunConfig(train={"learning_rate": 5e-5})):
        assert config.train.min_learning_rate == 5e-6
    recorded = tmp_path / "config.toml"
    recorded.write_text(dump_toml(RunConfig()))
    assert load_config(recorded, ["train.learning_rate=5e-5"]).train.min_learning_rate == 5e-6
    assert load_config(recorded, ["train.learning_rate=5e-4"]).train.min_learning_rate == 6e-5
    assert RunConfig().with_train(learning_rate=1e-5).train.min_learning_rate == 1e-6
    recorded.write_text("[train]\nlearning_rate = 1e-3\nmin_learning_rate = 9e-4\n")
    with pytest.raises(ConfigError, match=r"min_learning_rate 0.0009 is above learning_rate 5e-05"):
        load_config(recorded, ["train.learning_rate=5e-5"])


@pytest.mark.parametrize(
    "setting",
    [
        "train.betas=[0.9, 1.0]",
        "train.betas=[-0.1, 0.9]",
        "train.learning_rate=inf",
        "train.learning_rate=nan",
        "train.weight_decay=nan",
        "train.clip_norm=inf",
        "train.eps=inf",
        "train.epochs=inf",
        "train.epochs=1e300",
        "train.max_steps=10000000000000",
        "train.micro_batches=100000000000",
        "train.threads=1000000",
        f"train.seed={2**64}",
        f"data.seed={2**64}",
        f"sample.seed={2**64}",
        "data.seq_len=9999999",
        "data.batch_size=1000000000",
        "lora.r=1000000000",
        "lora.lora_alpha=inf",
        "preference.beta=inf",
        "sample.temperature=inf",
        "sample.top_k=-1",
        "sample.max_new_tokens=1000000000",
        'data.more_val={"a/b"="shards"}',
    ],
)
def test_a_number_that_cannot_work_is_refused_before_the_start(setting, tmp_path):
    name = setting.partition("=")[0]
    result = CliRunner().invoke(app, ["train", "-o", str(tmp_path / "run"), "--set", setting])
    assert isinstance(result.exception, ConfigError)  # exit code 2, one sentence
    assert str(result.exception).startswith(name)
    assert "\n" not in str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seed", [2**63, 2**64 - 1])
def test_the_largest_seeds_train(seed, tmp_path):
    assert fit(tiny_task(), tiny_config(max_steps=1, seed=seed), tmp_path / "run", progress=False).steps == 1


def sized(n_trainable, n_frozen):
    """A task whose model has so many numbers, without the memory for them."""
    model = torch.nn.Module()
    model.register_parameter("adapter", torch.nn.Parameter(torch.empty(n_trainable, device="meta")))
    frozen = torch.nn.Parameter(torch.empty(n_frozen, device="meta"), requires_grad=False)
    model.register_parameter("base", frozen)
    return model


def test_the_first_lines_say_how_long_a_run_is_and_what_trains():
    task = tiny_task(epoch=Epoch(51, "rows", batch_size=8), model=sized(466_944, 559_140_864))
    config = with_steps(load_config(None, ["task=instruct"]), task.epoch)
    assert opening_lines(task, config.train) == [
        "51 rows, 3 epochs = 20 steps of 8",
        "trainable params: 466,944 || all params: 559,607,808 || trainable%: 0.0834",
    ]
    by_steps = opening_lines(task, config.train.model_copy(update={"epochs": None, "max_steps": 1000}))
    assert by_steps[0] == "51 rows, 1,000 steps of 8 = 156.9 epochs"
    assert by_steps[1].startswith("warning: 157 passes over the same rows")
    ten = with_steps(load_config(None, ["task=instruct", "train.epochs=10"]), task.epoch)
    assert not any("warning" in line for line in opening_lines(task, ten.train))


def test_they_are_printed_when_a_run_starts(tmp_path, capsys):
    task = tiny_task(epoch=Epoch(7, "rows", batch_size=2), samples=None, why_no_samples="a classifier writes no text")
    fit(task, tiny_config(max_steps=1, sample_every=1, eval_every=0), tmp_path / "run")
    assert capsys.readouterr().err.splitlines() == [
        "7 rows, 1 step of 2 = 0.3 epochs",
        "trainable params: 208 || all params: 208 || trainable%: 100.0000",
        "no text samples: a classifier writes no text",
    ]


def test_epochs_are_counted_in_the_log_and_across_a_resume(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder, steps in ((whole, 5), (cut, 3), (cut, 5)):
        task = tiny_task(epoch=Epoch(7, "rows", batch_size=2))
        fit(task, tiny_config(max_steps=steps), folder, resume=folder.exists(), progress=False)
    for folder in (whole, cut):
        lines = read_json_lines(folder / "metrics.jsonl")
        assert [line["epoch"] for line in lines if line["step"]] == [round(2 * n / 7, 6) for n in range(1, 6)]
    assert "epoch" not in json.loads((whole / "environment.json").read_text())
