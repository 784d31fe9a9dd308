"""Epochs, several validation sets, samples of each task's own prompts, and settings changed on the way."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from bytemill import Tokenizer
from bytemill.cli import app
from bytemill.data import TokenLoader, prepare
from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.loss import held_out_loss
from bytemill.tasks.base_model import load_base_model
from bytemill.tasks.next_token import own_prompts_as_text
from bytemill.tasks.pretrain import one_pass, pretrain_task_from_config
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines

TEXT = "the river and the hill. " * 200
SMALL = [
    "model.n_layer=1",
    "model.n_head=2",
    "model.n_embd=16",
    "data.batch_size=4",
    "data.seq_len=32",
    "train.eval_every=0",
    "train.precision=fp32",
    "train.device=cpu",
    "train.tensorboard=false",
    "sample.max_new_tokens=3",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lengths")
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    tokenizer.save(folder / "tokenizer.json")
    (folder / "a.txt").write_text(TEXT * 9)
    (folder / "b.txt").write_text("the hill. the river. " * 300)
    for name in "ab":
        prepare(folder / f"{name}.txt", folder / f"shards_{name}", tokenizer=tokenizer, val=0.2)
    prepare(folder / "b.txt", folder / "all_train", tokenizer=tokenizer, val=0.0)
    other = Tokenizer.train(texts=["another text"], vocab_size=260)
    prepare(folder / "b.txt", folder / "of_another", tokenizer=other)
    rows = [{"instruction": f"Say {i}", "input": "it" if i % 2 else "", "output": f"the {i}"} for i in range(30)]
    (folder / "rows.json").write_text(json.dumps(rows))
    turns = [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "the hill"}]
    (folder / "chats.json").write_text(json.dumps([{"conversations": turns}] * 30))
    (folder / "spam").write_text("ham\tthe hill\nspam\tthe river\n" * 20)
    return folder


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def pretrain(folder, run, *settings, resume=False):
    data = [f"data.path={folder}/shards_a", f"data.tokenizer={folder}/tokenizer.json"]
    more = ["--resume"] if resume else []
    return call("train", "-o", run, *more, "--set", *([] if resume else [*SMALL, *data]), *settings)


@pytest.fixture(scope="module")
def base(folder):
    pretrain(folder, folder / "base", "train.max_steps=3", "data.seq_len=384")
    return folder / "base"


def test_pretraining_counts_in_epochs_of_the_training_tokens(folder, tmp_path):
    run = tmp_path / "run"
    result = pretrain(folder, run, "train.epochs=2", "train.sample_each_epoch=true", "train.micro_batches=2")
    n_samples = TokenLoader(folder / "shards_a", batch_size=1, seq_len=32).n_samples
    n_steps = -(-2 * n_samples // 8)
    assert f"{n_samples} samples of 32 tokens, 2 epochs = {n_steps} steps of 8" in result.stderr
    lines = read_json_lines(run / "metrics.jsonl")
    assert lines[-1]["step"] == n_steps
    assert lines[-1]["epoch"] == pytest.approx(n_steps * 8 / n_samples, abs=1e-6)
    assert lines[-1]["tokens"] == n_steps * 8 * 32
    assert load_config(run / "config.toml").train.warmup_steps == n_steps // 10
    sampled = [line["step"] for line in read_json_lines(run / "samples.jsonl")]
    assert sampled == [-(-n_samples // 8), n_steps]


def test_several_validation_sets_are_measured_each_by_its_name(folder, tmp_path):
    run = tmp_path / "run"
    more = [f"data.more_val.b={folder}/shards_b", f"data.more_val.whole={folder}/all_train"]
    pretrain(folder, run, *more, "train.max_steps=4", "train.eval_every=2")
    lines = [line for line in read_json_lines(run / "metrics.jsonl") if "val_loss" in line]
    assert [line["step"] for line in lines] == [0, 2, 4]
    model = load_base_model(run)
    for name, place, split in (("", "shards_a", "val"), ("/b", "shards_b", "val"), ("/whole", "all_train", "train")):
        loader = TokenLoader(folder / place, batch_size=4, seq_len=32, split=split, shuffle=False)
        found = held_out_loss(model.eval(), one_pass(loader)).as_metrics()
        assert lines[-1][f"val_loss{name}"] == pytest.approx(found["val_loss"], rel=1e-5)
        assert lines[-1][f"val_perplexity{name}"] == pytest.approx(found["val_perplexity"], rel=1e-4)
    state = json.loads((run / "checkpoints" / "step_00000004" / "state.json").read_text())
    assert state["validation_loss"] == lines[-1]["val_loss"]
    assert load_config(run / "config.toml").data.more_val["b"] == str(folder / "shards_b")
    pretrain(folder, run, "train.max_steps=5", resume=True)
    assert read_json_lines(run / "metrics.jsonl")[-1]["val_loss/b"] > 0


@pytest.mark.parametrize(
    ("place", "error", "sentence"),
    [
        ("nowhere", ConfigError, "data.more_val.b: nowhere/manifest.json cannot be read"),
        ("of_another", DataError, "tokenized with another tokenizer"),
    ],
)
def test_a_validation_set_that_does_not_fit_is_named(folder, place, error, sentence):
    where = place if place == "nowhere" else folder / place
    config = load_config(None, [*SMALL, f"data.path={folder}/shards_a", f"data.more_val.b={where}"])
    with pytest.raises(error, match=sentence):
        pretrain_task_from_config(config)
    with pytest.raises(ConfigError, match=r"data\.more_val is for pretraining, not for task lm"):
        load_config(None, ["task=lm", "data.more_val.b=shards"])


@pytest.mark.parametrize(
    ("task", "data", "template", "ends"),
    [
        ("lm", "rows.json", [], "### Response:\n"),
        ("instruct", "rows.json", [], "### Response:\n"),
        ("chat", "chats.json", ["data.chat_template=chatml"], "<|im_end|>\n<|im_start|>assistant\n"),
    ],
)
def test_a_tuning_run_samples_the_prompts_of_its_task(folder, base, tmp_path, task, data, template, ends):
    """`train.sample_every` without prompts wrote an empty samples.jsonl, and a single run drew none at its end."""
    run = tmp_path / "run"
    settings = [*SMALL[3:], "data.seq_len=384", "train.epochs=2", "data.text_column=output", *template]
    where = ["--model", base, "-t", folder / "tokenizer.json", "--data", folder / data, "-o", run]
    call("finetune", task, *where, "--set", *settings)
    samples = read_json_lines(run / "samples.jsonl")
    n_steps = read_json_lines(run / "metrics.jsonl")[-1]["step"]
    assert [line["step"] for line in samples] == [n_steps // 2 + n_steps % 2] * 2 + [n_steps] * 2
    ordinary, instruction = own_prompts_as_text(load_config(run / "config.toml").data.template or "alpaca")
    assert [line["prompt"] for line in samples] == [ordinary, instruction] * 2
    assert "Give three tips" not in ordinary
    assert instruction.endswith(ends)


def test_a_classifier_says_that_it_draws_no_samples(folder, base, tmp_path):
    where = ["--model", base, "-t", folder / "tokenizer.json", "--data", folder / "spam", "-o", tmp_path / "run"]
    result = call("finetune", "classify", *where, "--set", *SMALL[3:], "train.epochs=1", "train.sample_every=1")
    assert "no text samples: a classifier writes no text" in result.stderr


def test_pretraining_without_a_tokenizer_says_that_it_draws_no_samples(folder, tmp_path, capsys):
    shutil.copytree(folder / "shards_a", tmp_path / "shards")
    (tmp_path / "shards" / "tokenizer.json").unlink()  # as shards of earlier versions are
    settings = [*SMALL, f"data.path={tmp_path}/shards", "train.max_steps=1", "train.sample_every=1"]
    task, config, _ = pretrain_task_from_config(load_config(None, settings))
    fit(task, config, tmp_path / "run")
    assert "no text samples: data.tokenizer is not given" in capsys.readouterr().err


def test_dropout_changes_on_a_resume_from_the_command_line(folder, tmp_path):
    run = tmp_path / "run"
    pretrain(folder, run, "train.max_steps=2")
    pretrain(folder, run, "train.max_steps=4", "model.resid_pdrop=0.1", "model.attn_pdrop=0.2", resume=True)
    changed = {line["setting"]: line["new"] for line in read_json_lines(run / "changes.jsonl")}
    assert changed == {"train.max_steps": 4, "model.resid_pdrop": 0.1, "model.attn_pdrop": 0.2}
    config = json.loads((run / "checkpoints" / "step_00000004" / "config.json").read_text())
    assert (config["resid_pdrop"], config["attn_pdrop"], config["embd_pdrop"]) == (0.1, 0.2, 0.0)


def test_dropout_of_an_adapter_changes_on_a_resume_from_the_command_line(folder, base, tmp_path):
    run = tmp_path / "run"
    where = ["--model", base, "-t", folder / "tokenizer.json", "--data", folder / "rows.json", "-o", run]
    settings = [*SMALL[3:], "data.seq_len=384"]
    call("finetune", "instruct", *where, "--set", *settings, "train.max_steps=2")
    call("finetune", "instruct", "--resume", "-o", run, "--set", "train.max_steps=4", "lora.lora_dropout=0.1")
    changed = {line["setting"]: line["new"] for line in read_json_lines(run / "changes.jsonl")}
    assert changed == {"train.max_steps": 4, "lora.lora_dropout": 0.1}
    config = json.loads((run / "checkpoints" / "step_00000004" / "config.json").read_text())
    assert config["lora"]["lora_dropout"] == 0.1


def test_a_run_of_rows_says_its_length_before_it_starts(folder, base, tmp_path):
    where = ["--model", base, "-t", folder / "tokenizer.json", "--data", folder / "rows.json", "-o", tmp_path / "run"]
    result = call("finetune", "instruct", *where, "--set", "data.seq_len=384", "train.tensorboard=false", *SMALL[-1:])
    assert "26 rows, 3 epochs = 10 steps of 8" in result.stderr or "25 rows, 3 epochs = 10 steps of 8" in result.stderr
    train = load_config(tmp_path / "run" / "config.toml").train
    assert (train.max_steps, train.warmup_steps, train.learning_rate) == (10, 1, 2e-4)
    rates = [line["lr"] for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if line["step"]]
    assert max(rates) == pytest.approx(2e-4)
