import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytemill.cli import main
from bytemill.cli.run_end import finish
from bytemill.cli.run_options import RunOptions
from bytemill.errors import ConfigError
from bytemill.train.config import (
    DataConfig,
    LoraSettings,
    RunConfig,
    SampleConfig,
    TrainConfig,
    changed_settings,
    config_from_settings,
    dump_toml,
    load_config,
)
from bytemill.train.loop import Outcome


def test_what_is_dumped_is_read_back_equal(tmp_path):
    config = load_config(
        overrides=[
            "train.betas=[0.8, 0.999]",
            "train.eps=1e-9",
            "train.epochs=2.5",
            'data.path=a folder/with \\ and "',
            'sample.prompts=["line\\nbreak", "Größe\\u007f"]',
            "model.n_layer=3",
            "model.dropout=0.1",
            "model.name=gpt2",
        ]
    )
    file = tmp_path / "config.toml"
    file.write_text(dump_toml(config), encoding="utf-8")
    assert load_config(file) == config
    assert config.data.path == 'a folder/with \\ and "'
    assert config.model == {"n_layer": 3, "dropout": 0.1, "name": "gpt2"}


def test_data_settings_stand_in_order_of_their_purpose():
    """Those of rows stood between those of shards."""
    of_shards = ["packing", "mask_documents", "more_val", "hellaswag", "hellaswag_items"]
    names = list(DataConfig.model_fields)
    assert names[:6] == ["path", "tokenizer", "batch_size", "seq_len", "seed", "eval_batches"]
    assert names[6:11] == of_shards
    assert all(name.endswith("_column") for name in names[-6:])
    assert len(names) == 26
    assert all(field.description for field in DataConfig.model_fields.values())


def test_a_number_given_later_wins_over_what_it_would_follow_from(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[train]\nepochs = 2\ntotal_batch_tokens = 4096\n")
    train = load_config(file, ["task=lm", "train.max_steps=9", "train.micro_batches=3"]).train
    assert (train.max_steps, train.epochs, train.micro_batches, train.total_batch_tokens) == (9, None, 3, None)
    train = load_config(None, ["task=lm", "train.max_steps=9", "train.epochs=2"]).train
    assert (train.max_steps, train.epochs) == (9, 2)


def test_an_override_wins_over_the_file(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text("[train]\nmax_steps = 3\nseed = 4\n")
    train = load_config(file, ["train.max_steps=9"]).train
    assert (train.max_steps, train.seed) == (9, 4)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("train.learning_rte=1", "train.learning_rte is not a setting; did you mean train.learning_rate?"),
        ("trian.max_steps=1", "trian is not a setting; did you mean train"),
        ("qqqq.zzzz=1", "qqqq is not a setting"),
        ("train.max_steps=many", "train.max_steps is 'many'"),
        ("train.max_steps=-1", "train.max_steps is -1: Input should be greater than or equal to 0"),
        ("train.precision=fp8", "train.precision is 'fp8'"),
        ("train.min_learning_rate=1", "train: min_learning_rate 1.0 is above learning_rate 0.0006"),
        ("train.max_steps", "'train.max_steps' is not of the form section.setting=value"),
        ("task.name=1", "task is"),
    ],
)
def test_a_wrong_setting_is_named(override, sentence):
    with pytest.raises(ConfigError) as caught:
        load_config(overrides=[override])
    assert sentence in str(caught.value)


def test_a_setting_below_a_plain_value_is_named():
    with pytest.raises(ConfigError, match=r"train\.seed\.x is not a setting: seed has no settings"):
        load_config(overrides=["train.seed=1", "train.seed.x=2"])


def test_unreadable_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: the settings cannot be read"):
        load_config(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("[train\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML: .*line 1"):
        load_config(broken)


@pytest.mark.parametrize("section", [RunConfig, TrainConfig, DataConfig, LoraSettings, SampleConfig])
def test_every_setting_is_described(section):
    assert [name for name, field in section.model_fields.items() if not field.description] == []


def test_changes_are_named_with_both_values():
    old = load_config(overrides=["model.n_layer=2"])
    new = load_config(overrides=["model.n_layer=3", "train.seed=1", "model.n_head=2"])
    assert changed_settings(old, new) == [
        ("model.n_layer", 2, 3),
        ("train.seed", 0, 1),
        ("model.n_head", None, 2),
    ]


@pytest.mark.parametrize(
    "module", ["bytemill.train.config", "bytemill.data.rows", "bytemill.tasks", "bytemill.evaluate"]
)
def test_reading_settings_needs_no_torch(module):
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("place", ["2026-11-22", "1e5", "true", "my rows #1", 'it\'s "it"'])
def test_a_path_spelled_like_another_kind_of_value_stays_a_path(place, monkeypatch, capsys):
    command = ["bytemill", "finetune", "lm", "--data", place, "-t", "7", "--lora-rank", "4", "--print-config"]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    config = config_from_settings(tomllib.loads(capsys.readouterr().out))
    assert (config.data.path, config.data.tokenizer, config.lora.r) == (place, "7", 4)


@pytest.mark.parametrize(("rank", "lines"), [("0", 1), ("1", 0), (None, 1)])
def test_of_several_processes_the_first_says_how_a_run_ended(rank, lines, monkeypatch, capsys):
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    finish(RunOptions(output=Path("run")), Outcome(3, {"loss": 1.0}))
    said = capsys.readouterr()
    assert (said.out.count("\n"), said.err.count("\n")) == (lines, lines)
