"""Which settings a resumed run may change, and which it may not."""

import pytest
import torch

from bytemill.errors import CheckpointError, ConfigError
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines
from bytemill.train.run.resumable import without_dropout
from stand_ins import tiny_config, tiny_task


def with_matrices():
    task = tiny_task()
    return tiny_task(model=task.model, hidden_matrices=task.model.hidden_matrices())


@pytest.mark.parametrize(("first", "then"), [("adamw", "muon"), ("muon", "adamw")])
def test_another_optimizer_is_refused_both_ways_before_a_step(first, then, tmp_path):
    """AdamW to Muon ignored the moments; Muon to AdamW was `KeyError: 'step'`."""
    fit(with_matrices(), tiny_config(max_steps=2, optimizer=first), tmp_path / "run", progress=False)
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes(), (tmp_path / "run" / "config.toml").read_bytes()
    with pytest.raises(ConfigError) as caught:
        fit(with_matrices(), tiny_config(max_steps=4, optimizer=then), tmp_path / "run", resume=True, progress=False)
    sentence = str(caught.value)
    assert sentence.startswith(f"train.optimizer is {then}, but {tmp_path / 'run' / 'checkpoints' / 'step_00000002'}")
    assert f"resume with train.optimizer={first}" in sentence
    assert (
        (tmp_path / "run" / "metrics.jsonl").read_bytes(),
        (tmp_path / "run" / "config.toml").read_bytes(),
    ) == before
    again = tiny_config(max_steps=4, optimizer=first)
    assert fit(with_matrices(), again, tmp_path / "run", resume=True, progress=False).steps == 4


def config_with(dropout, lora_dropout=0.0, **train):
    config = tiny_config(**train)
    lora = config.lora.model_copy(update={"lora_dropout": lora_dropout})
    return config.model_copy(update={"model": {"resid_pdrop": dropout}, "lora": lora})


def task_with(dropout, lora_dropout=0.0, **fields):
    lora = {"r": 2, "lora_dropout": lora_dropout}
    return tiny_task(dropout=dropout, model_config={"width": 8, "resid_pdrop": dropout, "lora": lora}, **fields)


def test_dropout_may_change_on_a_resume_and_is_recorded(tmp_path):
    run = tmp_path / "run"
    fit(task_with(0.0), config_with(0.0, max_steps=3), run, progress=False)
    task = task_with(0.5, 0.25)
    fit(task, config_with(0.5, 0.25, max_steps=6), run, resume=True, progress=False)
    changes = {line["setting"]: (line["old"], line["new"]) for line in read_json_lines(run / "changes.jsonl")}
    assert changes["model.resid_pdrop"] == (0.0, 0.5)
    assert changes["lora.lora_dropout"] == (0.0, 0.25)
    fit(plain := task_with(0.0), config_with(0.0, max_steps=6), tmp_path / "plain", progress=False)
    same = [torch.equal(value, plain.model.state_dict()[name]) for name, value in task.model.state_dict().items()]
    assert not any(same), "the new dropout was not used"


def test_another_shape_is_refused_on_a_resume(tmp_path):
    fit(task_with(0.0), config_with(0.0, max_steps=3), tmp_path / "run", progress=False)
    other = tiny_task(model_config={"width": 8, "resid_pdrop": 0.0, "lora": {"r": 4, "lora_dropout": 0.0}})
    with pytest.raises(CheckpointError, match=r"from another model: lora was \{'r': 2\}"):
        fit(other, config_with(0.0, max_steps=6), tmp_path / "run", resume=True, progress=False)


def test_dropout_of_any_architecture_is_left_out_of_the_comparison():
    settings = {
        "attention_dropout": 0.1,
        "hidden_dropout": 0,
        "classifier_dropout": None,
        "drop_path": "linear",
        "n": 1,
    }
    assert without_dropout({"settings": settings}) == {"settings": {"drop_path": "linear", "n": 1}}
