"""Preference tuning: the loss against its definition and TRL, rewards, references, what is saved."""

import copy
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data.rows import split_rows
from bytemill.data.rows.pairs import encode_pairs
from bytemill.errors import ConfigError
from bytemill.model import GPT2, GPT2Config, TransformersCausal
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters
from bytemill.model.loss import target_log_probabilities
from bytemill.report.run import run_page
from bytemill.tasks.losses import dpo_loss, preference_losses
from bytemill.tasks.preference import (
    answer_log_probabilities,
    losses_and_rewards,
    preference_task,
    preference_task_from_config,
    read_pairs,
    turn_off_dropout,
)
from bytemill.train.config import DataConfig, PreferenceConfig, config_from_settings, load_config
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines
from stand_ins import tiny_config

EOT = 256
FIGURES = ("loss", "reward_chosen", "reward_rejected", "margin", "accuracy")


class ByteTokenizer:
    """Ids are bytes; one special token."""

    eot_token = EOT
    n_vocab = EOT + 1

    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: list[int]) -> bytes:
        return bytes(i for i in ids if i < EOT)


def tiny_gpt2(**fields: Any) -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=EOT + 1, n_positions=256, n_embd=16, n_layer=1, n_head=2, **fields))


# Two chosen answers, then two rejected ones: log-probabilities token by token, made up.
POLICY = [[0.5, 1.5, 2.0, 0.25], [1.0, 3.0], [2.5, 0.75], [0.5, 4.0, 1.25]]
REFERENCE = [[1.0, 1.25, 2.5, 0.5], [0.5, 2.0], [2.0, 1.0], [0.75, 2.0, 1.0]]


def sums(values: list[list[float]], *, mean: bool = False) -> torch.Tensor:
    return -torch.tensor([sum(row) / (len(row) if mean else 1) for row in values])


@pytest.mark.parametrize(
    ("mean", "beta", "loss"),
    # TRL 1.16.0, DPOTrainer with loss_type "sigmoid" and "sigmoid_norm" on these very log-probabilities.
    [(False, 0.1, 0.650529385), (False, 0.5, 0.502320051), (True, 0.1, 0.685947776), (True, 0.5, 0.658991396)],
)
def test_the_loss_is_that_of_trl(mean: bool, beta: float, loss: float) -> None:
    found = losses_and_rewards(sums(POLICY, mean=mean), sums(REFERENCE, mean=mean), PreferenceConfig(beta=beta))
    assert float(found.losses.mean()) == pytest.approx(loss, abs=1e-6)


log_probabilities = st.lists(st.floats(-50, 0), min_size=4, max_size=4).map(torch.tensor)


@given(log_probabilities, log_probabilities, st.floats(0.01, 2), st.floats(0, 0.45))
def test_the_loss_is_its_definition(
    policy: torch.Tensor, reference: torch.Tensor, beta: float, smoothing: float
) -> None:
    settings = PreferenceConfig(beta=beta, label_smoothing=smoothing)
    found = losses_and_rewards(policy, reference, settings)
    for i in range(2):
        ratio = float(policy[i] - policy[i + 2]) - float(reference[i] - reference[i + 2])
        likely, unlikely = (math.log1p(math.exp(-abs(z))) + max(-z, 0) for z in (beta * ratio, -beta * ratio))
        expected = (1 - smoothing) * likely + smoothing * unlikely
        assert float(found.losses[i]) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    margins = found.chosen_rewards - found.rejected_rewards
    assert float(found.sums()["margin"]) == pytest.approx(float(margins.sum()), abs=1e-5)
    assert int(found.sums()["accuracy"]) == int((margins > 0).sum())


@given(log_probabilities, log_probabilities, st.floats(0.01, 2), st.sampled_from([0.0, 0.1, 0.45]))
def test_the_loss_and_its_gradient_have_the_bits_of_all_pairs_in_one_tensor(
    policy: torch.Tensor, reference: torch.Tensor, beta: float, smoothing: float
) -> None:
    results = []
    for apart in (True, False):
        leaf = policy.clone().requires_grad_()
        if apart:
            losses = preference_losses["sigmoid"](
                *leaf.chunk(2), *reference.chunk(2), beta=beta, label_smoothing=smoothing
            )
        else:
            chosen, rejected = (beta * (leaf - reference)).chunk(2)
            losses = -F.logsigmoid(chosen - rejected) * (1 - smoothing)
            if smoothing:
                losses = losses - F.logsigmoid(rejected - chosen) * smoothing
        results.append((losses.detach(), *torch.autograd.grad(losses.sum(), leaf)))
    for apart, together in zip(*results, strict=True):
        assert torch.equal(apart, together)


def test_each_loss_has_the_shape_of_its_pairs_and_falls_with_the_margin() -> None:
    zeros, gained = torch.zeros(3), torch.tensor([-1.0, 0.0, 1.0])
    assert preference_losses["sigmoid"] is dpo_loss
    for loss in preference_losses.values():
        losses = loss(gained, -gained, zeros, zeros, beta=0.5)
        assert losses.shape == (3,)
        assert losses.diff().lt(0).all()


@given(log_probabilities, st.floats(0.01, 2), st.floats(0, 0.45))
def test_a_policy_that_is_its_reference_has_ln_2_and_no_margin(
    policy: torch.Tensor, beta: float, smoothing: float
) -> None:
    found = losses_and_rewards(policy, policy.clone(), PreferenceConfig(beta=beta, label_smoothing=smoothing))
    assert found.losses.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-6)
    assert {name: float(value) for name, value in found.sums().items()} == dict.fromkeys(FIGURES[1:], 0.0)


@pytest.mark.parametrize("weight_trains", [True, False])
@pytest.mark.parametrize("slab_rows", [3, 100])
def test_log_probabilities_in_slabs_equal_those_of_torch(weight_trains: bool, slab_rows: int) -> None:
    torch.manual_seed(1)
    hidden, weight = torch.randn(10, 6, requires_grad=True), torch.randn(32, 6, requires_grad=weight_trains)
    targets, scales = torch.randint(29, (10,)), torch.randn(10)
    own = target_log_probabilities(hidden, weight, targets, n_classes=29, slab_bytes=4 * 32 * slab_rows)
    whole = F.log_softmax((hidden @ weight.T)[:, :29], dim=-1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(own, whole)
    leaves = [hidden, weight] if weight_trains else [hidden]
    for got, want in zip(
        torch.autograd.grad((own * scales).sum(), leaves),
        torch.autograd.grad((whole * scales).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("average", ["sum", "mean"])
def test_an_answer_s_log_probability_counts_its_own_tokens(average: Any) -> None:
    model = tiny_gpt2()
    ids = torch.randint(EOT, (3, 9))
    targets = ids.roll(-1, dims=1).where(torch.arange(9) >= torch.tensor([[2], [5], [9]]), -100)
    found = answer_log_probabilities(model, ids, targets, average=average)
    table = F.log_softmax(model(ids)[0], dim=-1)
    for i, row in enumerate(targets):
        values = [table[i, t, target] for t, target in enumerate(row.tolist()) if target != -100]
        expected = sum(values, torch.zeros(())) / (max(len(values), 1) if average == "mean" else 1)
        torch.testing.assert_close(found[i], expected)


ROWS = [
    {"instruction": f"Say {word}.", "chosen": word * 2, "rejected": word.upper()}
    for word in ("one", "two", "three", "four", "five", "six")
]


def pairs():
    return encode_pairs(ROWS, ByteTokenizer(), max_tokens=250)


def tuned(model: Any, folder: Path, *, reference: GPT2 | None, average: Any = "sum") -> list[dict[str, Any]]:
    adapters = () if reference is not None else lora_parameters(model)
    task = preference_task(
        model,
        pairs(),
        ByteTokenizer(),
        reference=reference,
        validation_pairs=pairs(),
        settings=PreferenceConfig(log_probabilities=average),
        parameters=adapters,
        data=DataConfig(batch_size=3),
    )
    fit(task, tiny_config(max_steps=12, eval_every=12, learning_rate=2e-2), folder, progress=False)
    return read_json_lines(folder / "metrics.jsonl")


def full() -> tuple[GPT2, GPT2]:
    model = tiny_gpt2()
    return model, copy.deepcopy(model).requires_grad_(False)


def adapted() -> GPT2:
    return apply_lora(tiny_gpt2(), LoraConfig(r=4, target_modules="all-linear"))


@pytest.mark.parametrize("average", ["sum", "mean"])
@pytest.mark.parametrize("kind", ["full", "lora"])
def test_tuning_begins_at_ln_2_and_widens_the_margin(tmp_path: Path, kind: str, average: Any) -> None:
    model, reference = full() if kind == "full" else (adapted(), None)
    base = copy.deepcopy(model.state_dict())
    lines = tuned(model, tmp_path / "run", reference=reference, average=average)
    first, last = lines[1], lines[-1]
    assert first["step"] == 1
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert [first[name] for name in FIGURES[1:]] == pytest.approx([0.0] * 4, abs=1e-6)
    assert lines[0]["val_loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert last["loss"] < first["loss"]
    assert last["val_margin"] > 0.01
    assert last["val_accuracy"] == 1
    assert last["val_margin"] == pytest.approx(last["val_reward_chosen"] - last["val_reward_rejected"], abs=1e-5)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, base[name])}
    assert moved
    assert all("lora_" in name for name in moved) == (kind == "lora")


def test_a_frozen_copy_and_a_switched_off_adapter_are_one_reference(tmp_path: Path) -> None:
    """The same adapter from the same start, once against the base in a copy and once against itself, switched off."""
    copied, switched = adapted(), adapted()
    switched.load_state_dict(copied.state_dict())
    settings = {"settings": PreferenceConfig(), "data": DataConfig(batch_size=3)}
    for model, reference, name in ((copied, tiny_gpt2().requires_grad_(False), "copy"), (switched, None, "off")):
        task = preference_task(
            model, pairs(), ByteTokenizer(), reference=reference, parameters=lora_parameters(model), **settings
        )
        fit(task, tiny_config(eval_every=0), tmp_path / name, progress=False)
    copies, own = (read_json_lines(tmp_path / name / "metrics.jsonl") for name in ("copy", "off"))
    assert [line["loss"] for line in copies if "loss" in line] == [line["loss"] for line in own if "loss" in line]


def test_dropout_is_off_but_for_the_adapter_s_own() -> None:
    model = turn_off_dropout(tiny_gpt2(resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5)).train()
    ids = torch.arange(20)[None]
    assert torch.equal(model(ids)[0], model(ids)[0])
    apply_lora(model, LoraConfig(r=2, lora_dropout=0.5, target_modules="all-linear"))
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.0, 0.5}


def test_dropout_of_transformers_blocks_is_off_too() -> None:
    transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
    small = {"vocab_size": 50, "hidden_size": 16}
    opt = {"num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16, "word_embed_proj_dim": 16, "dropout": 0.5}
    for config in (
        transformers.OPTConfig(**small, **opt, attention_dropout=0.5),
        transformers.BloomConfig(**small, n_layer=1, n_head=2, hidden_dropout=0.5, attention_dropout=0.5),
    ):
        network = transformers.AutoModelForCausalLM.from_config(config)
        model = turn_off_dropout(TransformersCausal(network)).train()
        ids = torch.arange(20)[None]
        assert torch.equal(model(ids)[0], model(ids)[0])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("preference")
    rows = [
        {"instruction": f"say {n}", "input": "", "chosen": f"the number {n}", "rejected": f"{n}, stupid"}
        for n in range(40)
    ]
    rows[3]["rejected"] = rows[3]["chosen"]
    (folder / "rows.json").write_text(json.dumps(rows))
    tokenizer = Tokenizer.train(texts=["the number, stupid. say "] * 9, vocab_size=280)
    tokenizer.save(folder / "tokenizer.json")
    model = GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=256, n_embd=16, n_layer=1, n_head=2))
    model.save_huggingface(folder / "base")
    return {
        "base": str(folder / "base"),
        "data.path": str(folder / "rows.json"),
        "data.tokenizer": str(folder / "tokenizer.json"),
    }


def configured(files: dict[str, str], *more: str) -> Any:
    settings = ["task=preference", "data.batch_size=4", "train.epochs=1", "train.warmup_steps=0", "data.seq_len=250"]
    settings += ["train.precision=fp32", "train.tensorboard=false", "train.min_learning_rate=0", "train.threads=1"]
    return load_config(None, [*(f"{name}={value}" for name, value in files.items()), *settings, *more])


@pytest.mark.parametrize("lora", [["lora.r=0"], ["lora.r=2"], ["lora.r=2", "lora.bias=all"]])
def test_a_run_from_its_settings_resumes_bit_equal(tmp_path: Path, files: dict[str, str], lora: list[str]) -> None:
    config = configured(files, *lora, "train.checkpoint_every=4")
    task, config, reports = preference_task_from_config(config)
    assert config.train.max_steps == 9
    assert [report.split(":")[0] for report in reports] == ["training", "validation"]
    parts = split_rows(range(40))
    assert [" 1 with chosen equal to rejected" in report for report in reports] == [3 in parts[0], 3 in parts[2]]
    fit(task, config, tmp_path / "whole", progress=False)
    checkpoints = tmp_path / "whole" / "checkpoints"
    whole = (checkpoints / "step_00000009" / "model.safetensors").read_bytes()
    (checkpoints / "step_00000009" / "state.json").unlink()
    task, config, _ = preference_task_from_config(config)
    fit(task, config, tmp_path / "whole", progress=False, resume=True)
    assert (checkpoints / "step_00000009" / "model.safetensors").read_bytes() == whole
    losses = [line["loss"] for line in read_json_lines(tmp_path / "whole" / "metrics.jsonl") if "loss" in line]
    assert len(losses) == 9
    assert losses[0] == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("name", ["base", "data.path", "data.tokenizer"])
def test_what_is_missing_is_named(files: dict[str, str], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is not given"):
        preference_task_from_config(configured({key: value for key, value in files.items() if key != name}))


def test_the_page_of_a_run_shows_margins_and_rewards(tmp_path: Path) -> None:
    tuned(adapted(), tmp_path / "run", reference=None)
    html = run_page(tmp_path / "run").html()
    for title in ("Margin on the validation set", "Margin in training", "Win rate", "Rewards: run"):
        assert html.count(f"<h3>{title}</h3>") == 1
    assert "nats per pair" in html
    assert "fraction of pairs ranked correctly" in html
    assert "Rewards of run: chosen ends at" in html


def test_a_base_of_transformers(tmp_path: Path) -> None:
    shape = {"vocab_size": EOT + 1, "hidden_size": 16, "intermediate_size": 32, "max_position_embeddings": 256}
    layers = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2, "attention_dropout": 0.3}
    torch.manual_seed(0)
    model = turn_off_dropout(TransformersCausal.from_settings({"model_type": "llama", **shape, **layers}))
    ids = torch.randint(EOT, (2, 9))
    targets = ids.roll(-1, dims=1).where(torch.arange(9) >= torch.tensor([[2], [5]]), -100)
    found = answer_log_probabilities(model.train(), ids, targets)
    table = F.log_softmax(model(ids)[0], dim=-1).gather(2, targets.clamp(min=0)[..., None])[..., 0]
    torch.testing.assert_close(found, table.masked_fill(targets == -100, 0.0).sum(dim=1))
    lines = tuned(apply_lora(model, LoraConfig(r=4, target_modules="all-linear")), tmp_path / "run", reference=None)
    assert lines[1]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert lines[-1]["val_margin"] > 0.01


def test_the_command(
    tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["bytemill", "finetune", "preference", "--output", str(run)]
    options = ["--model", files["base"], "--data", files["data.path"], "-t", files["data.tokenizer"], "--beta", "0.2"]
    settings = ["--set", "data.seq_len=250", "train.precision=fp32", "train.weight_decay=0.02"]
    said = []
    for more in ([*options, *settings], ["--resume"]):
        monkeypatch.setattr("sys.argv", [*command, *more])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
        found = capsys.readouterr()
        assert found.out.strip() == str(run)
        said.append(found.err)
    assert "step 0 of 5: validation 0.6931" in said[0]
    assert "5 steps done already" in said[1]
    config = load_config(run / "config.toml")
    assert (config.task, config.lora.r, config.preference.beta) == ("preference", 8, 0.2)
    assert (config.train.learning_rate, config.train.weight_decay, config.train.epochs) == (5e-6, 0.02, 1)


def test_steps_that_are_asked_for_win_over_the_one_epoch_of_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bytemill", "finetune", "preference", "--print-config", "--set"]
    for setting, epochs in (("train.seed=1", 1), ("train.max_steps=7", None)):
        monkeypatch.setattr("sys.argv", [*command, setting])
        with pytest.raises(SystemExit):
            main()
        assert config_from_settings(tomllib.loads(capsys.readouterr().out)).train.epochs == epochs


def test_inspect_shows_what_is_compared(
    files: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "inspect", files["data.path"], "-t", files["data.tokenizer"], "--task", "preference", "-n", "2"]
    monkeypatch.setattr("sys.argv", ["bytemill", *command])
    with pytest.raises(SystemExit):
        main()
    found = capsys.readouterr()
    assert "39 of 40 pairs used" in found.err
    monkeypatch.setattr("sys.argv", ["bytemill", *command, "--set", "data.max_rows=20"])
    with pytest.raises(SystemExit):
        main()
    assert "of 20 pairs used" in capsys.readouterr().err
    assert "### Response:\n⟦the number 0<|endoftext|>⟧" in found.out
    assert "### Response:\n⟦0, stupid<|endoftext|>⟧" in found.out


def test_fewer_rows_are_taken_by_the_seed(files: dict[str, str]) -> None:
    config = configured(files, "data.max_rows=20")
    assert len(read_pairs(config)) == 40
    assert preference_task_from_config(config)[1].train.max_steps in (4, 5)  # 17 pairs of four, or one refused
