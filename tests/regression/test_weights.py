"""Weights into models and out of runs: each test is named after what broke."""

import json
import sys
from typing import NamedTuple

import pytest
import torch

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.errors import ArgumentError, ConfigError
from bytemill.model import GPT2, GPT2Config, load_model, save_model
from bytemill.model.config import with_added_fields
from bytemill.model.lora import LoraConfig, apply_lora, save_adapter
from bytemill.tasks.base_model import load_base_model, model_config_json, model_from_json
from bytemill.train.run.checkpoint import _measure, _spell, newest_valid, verify_checkpoint

SHAPE = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 64}
SMALL = (
    *("data.seq_len=16", "data.batch_size=2", "train.max_steps=2", "train.warmup_steps=1", "train.threads=1"),
    *("train.tensorboard=false", "train.eval_every=0", "train.learning_rate=0.1"),
)
ADDED = ("activation_function", "tie_word_embeddings")


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd, monkeypatch):
    """Runs `bytemill ARGUMENTS…` in this process."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        return Outcome(stopped.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Texts, their tokenizer and a model of it."""
    monkeypatch.chdir(tmp_path)
    text = "the cat sat on the mat and the dog sat on the log. "
    (tmp_path / "rows.csv").write_text("text\n" + f"{text}\n" * 30)
    (tmp_path / "text.txt").write_text(text * 200)
    tokenizer = Tokenizer.train(texts=[text], vocab_size=280)
    tokenizer.save(tmp_path / "t.json")
    torch.manual_seed(0)
    save_model(GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, **SHAPE)), tmp_path / "base")
    return tmp_path


@pytest.fixture
def tuned(folder, run):
    given = ("--model", "base", "--data", "rows.csv", "-t", "t.json", "-o", "tuned", "--lora-rank", 2)
    outcome = run("finetune", "lm", *given, "--set", *SMALL)
    assert outcome.code == 0, outcome.err
    return folder / "tuned"


@pytest.fixture
def trained(folder, run):
    assert run("data", "prepare", "text.txt", "-t", "t.json", "-o", "shards").code == 0
    shape = [f"model.{name}={value}" for name, value in SHAPE.items()]
    outcome = run("train", "-o", "run", "--set", "data.path=shards", "data.tokenizer=t.json", *shape, *SMALL)
    assert outcome.code == 0, outcome.err
    return folder / "run"


def says_one_sentence(outcome, code, *words):
    assert outcome.code == code, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("bytemill: ")
    for word in words:
        assert word in outcome.err


def rewrite_model_config(checkpoint, change):
    """Change a checkpoint's config.json, and its checksum."""
    fields = change(json.loads((checkpoint / "config.json").read_text()))
    (checkpoint / "config.json").write_text(json.dumps(fields, indent=2) + "\n")
    state = json.loads((checkpoint / "state.json").read_text())
    state["files"]["config.json"] = _measure(checkpoint / "config.json")
    (checkpoint / "state.json").write_text(_spell(state))
    verify_checkpoint(checkpoint)


@pytest.mark.parametrize("name", ["trained", "tuned"])
def test_a_run_made_before_there_were_activations_resumes(name, request, run):
    """Its config.json has none of the newer fields."""
    place = request.getfixturevalue(name)
    checkpoint = newest_valid(place)[0].path
    without = lambda fields: {key: value for key, value in fields.items() if key not in ADDED}  # noqa: E731
    assert set(ADDED) <= json.loads((checkpoint / "config.json").read_text()).keys()
    rewrite_model_config(checkpoint, without)
    assert load_base_model(place).config.activation_function == "gelu_new"
    command = ("train",) if name == "trained" else ("finetune", "lm")
    outcome = run(*command, "-o", place, "--resume", "train.max_steps=3")
    assert outcome.code == 0, outcome.err
    assert newest_valid(place)[0].step == 3
    rewrite_model_config(newest_valid(place)[0].path, lambda fields: fields | {"activation_function": "gelu"})
    outcome = run(*command, "-o", place, "--resume", "train.max_steps=4")
    assert outcome.code == 1
    assert "activation_function was 'gelu', and is 'gelu_new' now" in outcome.err.splitlines()[-1]


def test_fields_of_a_config_that_is_none_are_still_missing():
    assert with_added_fields({}) == {}
    fields = model_config_json(GPT2(GPT2Config(vocab_size=9, **SHAPE, tie_word_embeddings=False)))
    assert with_added_fields(fields) == fields
    assert model_from_json(fields).head is not None


def test_a_run_trains_the_exact_gelu_and_an_untied_head(folder, run):
    assert run("data", "prepare", "text.txt", "-t", "t.json", "-o", "shards").code == 0
    shape = [f"model.{name}={value}" for name, value in SHAPE.items()]
    more = ["model.activation_function=gelu", "model.tie_word_embeddings=false"]
    given = ("--set", "data.path=shards", "data.tokenizer=t.json", *shape, *more, *SMALL)
    assert run("train", "-o", "run", *given).code == 0
    model = load_base_model("run")
    assert model.config.activation_function == "gelu"
    assert not torch.equal(model.head.weight, model.token_embedding.weight)
    assert "activation_function: gelu\n" in run("model", "info", "run").out
    says_one_sentence(
        run("train", "-o", "no", *given, "model.activation_function=relu"), 2, "model.activation_function"
    )


class TestMerge:
    def test_its_own_adapter_was_added_twice(self, tuned, run):
        assert run("model", "export", "tuned", "adapter", "--adapter").code == 0
        outcome = run("model", "merge", "tuned", "merged", "--adapter", "adapter")
        says_one_sentence(outcome, 2, "--adapter: adapter is the adapter of tuned", "leave it out")
        assert not (tuned.parent / "merged").exists()
        assert run("model", "merge", "tuned", "merged").code == 0
        assert run("model", "merge", "base", "same", "--adapter", "adapter").code == 0
        for (name, one), (_, other) in zip(
            load_model("merged").named_parameters(), load_model("same").named_parameters(), strict=True
        ):
            torch.testing.assert_close(one, other, msg=name)
        assert not torch.equal(load_model("merged").blocks[0].attention.qkv.weight, qkv(load_model("base")))

    def test_another_adapter_is_added(self, tuned, run):
        other = apply_lora(load_model("base"), LoraConfig(r=2, target_modules=["c_attn"]))
        with torch.no_grad():
            other.blocks[0].attention.qkv.active_update.lora_B.normal_()
        save_adapter(other, "other")
        assert run("model", "merge", "tuned", "merged", "--adapter", "other").code == 0
        delta = qkv(load_model("merged")) - qkv(load_base_model("tuned"))
        update = other.blocks[0].attention.qkv.active_update
        torch.testing.assert_close(delta, update.scaling * update.lora_B @ update.lora_A)


def qkv(model):
    return model.blocks[0].attention.qkv.weight.detach()


@pytest.mark.parametrize("command", [("generate", "-t", "t.json", "x", "-m"), ("model", "info")])
@pytest.mark.parametrize("file", ["weights.pth", "weights.pt", "weights.bin"])
def test_a_pickle_as_model_was_looked_for_on_the_hub(command, file, folder, run):
    torch.save({}, file)
    how = f"bytemill model import {file} FOLDER --allow-pickle"
    says_one_sentence(run(*command, file), 1, f"{file}: is a file, expected a folder", how)
    says_one_sentence(run(*command, f"no-{file}"), 1, f"no-{file}: not an existing folder")


def test_safetensors_as_model_were_looked_for_on_the_hub(folder, run):
    outcome = run("model", "info", "base/model.safetensors")
    says_one_sentence(outcome, 1, "bytemill model import base/model.safetensors FOLDER")


def test_import_asks_for_heads_and_reports_what_it_assumes(folder, run):
    model = load_model("base")
    model.save_huggingface("theirs")
    tensors = {f"module.{name}": t for name, t in torch_weights(model).items()}
    torch.save(tensors, "model.pt")
    says_one_sentence(run("model", "import", "model.pt", "a"), 2, "--allow-pickle")
    says_one_sentence(run("model", "import", "model.pt", "a", "--allow-pickle"), 2, "--heads")
    given = ("model", "import", "model.pt", "a", "--allow-pickle", "--heads", 2)
    outcome = run(*given)
    assert (outcome.code, outcome.out) == (0, "a\n")
    assert "--activation gelu_new" in outcome.err
    assert load_model("a").config.activation_function == "gelu"
    outcome = run(*given, "--activation", "gelu_new")
    assert (outcome.code, outcome.err) == (0, "")
    for (name, one), (_, other) in zip(
        load_model("a").named_parameters(), load_model("base").named_parameters(), strict=True
    ):
        assert torch.equal(one, other), name


def torch_weights(model):
    """As nanoGPT has them."""
    from bytemill.model.huggingface import _their_views

    linear = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
    return {name: (t.T if name.endswith(linear) else t).contiguous() for name, t in _their_views(model)}


@pytest.mark.parametrize("targets", ["c_attn", '"c_attn"', '["c_attn"]', "attn.c_attn", "qkv", '".*c_attn"'])
def test_targets_as_plain_text_were_refused(targets, folder, run):
    given = ("--model", "base", "--data", "rows.csv", "-t", "t.json", "-o", "out", "--lora-rank", 1)
    outcome = run("finetune", "lm", *given, "--set", *SMALL, f"lora.target_modules={targets}")
    assert outcome.code == 0, outcome.err
    assert run("model", "export", "out", "adapter", "--adapter").code == 0
    settings = json.loads((folder / "adapter" / "adapter_config.json").read_text())
    assert settings["target_modules"] in (["c_attn"], ["transformer.h.0.attn.c_attn"], ".*c_attn")


def test_weights_written_into_a_checkpoint_damaged_it(tuned):
    checkpoint = newest_valid(tuned)[0].path
    adapted = load_base_model(tuned, merge=False)
    plain = load_base_model(tuned)
    for write in (
        lambda: save_model(plain, checkpoint),
        lambda: plain.save_huggingface(checkpoint),
        lambda: save_adapter(adapted, checkpoint),
        lambda: save_model(plain, checkpoint / "inside"),
    ):
        with pytest.raises(ArgumentError, match="is a checkpoint, which writing would damage"):
            write()
    verify_checkpoint(checkpoint)


def test_a_config_with_an_unknown_activation_is_one_sentence():
    with pytest.raises(ConfigError, match=r"^activation_function: .*'relu'"):
        GPT2Config(activation_function="relu")
