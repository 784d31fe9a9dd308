"""The checkpoint of lowest validation loss exists, wherever it lies among the steps."""

import json

import pytest

from bytemill.train.loop import fit
from bytemill.train.run.checkpoint import newest_valid
from bytemill.train.run.metrics import read_json_lines
from stand_ins import tiny_config, tiny_task

LOSSES = (5.0, 4.0, 3.741, 3.9, 3.998, 4.1, 4.2)


def task_of(losses, **fields):
    """Its validations give these losses, one after the other."""
    left = iter(losses)
    return tiny_task(validate=lambda: {"val_loss": next(left)}, **fields)


def saved(run):
    """Step and validation loss of each checkpoint."""
    states = [json.loads(path.read_text()) for path in sorted(run.glob("checkpoints/step_*/state.json"))]
    return [(state["step"], state["validation_loss"]) for state in states]


def test_an_early_end_leaves_the_best_checkpoint_not_only_the_last(tmp_path, capsys):
    config = tiny_config(max_steps=40, eval_every=5, patience=2, checkpoint_every=0)
    outcome = fit(task_of(LOSSES), config, tmp_path / "run")
    assert outcome.steps == 20
    assert saved(tmp_path / "run") == [(10, 3.741), (20, 3.998)]
    lines = capsys.readouterr().err.splitlines()
    assert "stopped at step 20: no lower validation loss in the last 2 validations" in lines
    folder = tmp_path / "run" / "checkpoints" / "step_00000010"
    assert lines[-1] == f"lowest validation loss: 3.7410 at step 10, and 3.9980 at the end: {folder}"


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"keep_best": True}, [10, 30]), ({}, [30]), ({"keep_best": True, "keep_checkpoints": 1}, [10, 30])],
)
def test_the_best_is_kept_without_an_early_end_where_asked_for(settings, steps, tmp_path, capsys):
    fit(task_of(LOSSES), tiny_config(max_steps=30, eval_every=5, checkpoint_every=0, **settings), tmp_path / "run")
    assert [step for step, _ in saved(tmp_path / "run")] == steps
    last = capsys.readouterr().err.splitlines()[-1]
    assert ("train.keep_best=true" in last) == (not settings)


def test_a_start_that_was_better_does_not_hide_the_best_of_training(tmp_path):
    config = tiny_config(max_steps=40, eval_every=5, patience=3, checkpoint_every=0)
    fit(task_of([1.0, 4.0, 3.0, 3.5]), config, tmp_path / "run", progress=False)
    assert saved(tmp_path / "run") == [(10, 3.0), (15, 3.5)]


def test_the_best_is_known_after_a_resume(tmp_path):
    first = tiny_config(max_steps=15, eval_every=5, checkpoint_every=0, keep_best=True)
    fit(task_of([5.0, 3.0, 4.0, 4.1]), first, tmp_path / "run", progress=False)
    fit(task_of([3.5, 2.5, 2.6]), first.with_train(max_steps=30), tmp_path / "run", resume=True, progress=False)
    assert saved(tmp_path / "run") == [(25, 2.5), (30, 2.6)]
    assert newest_valid(tmp_path / "run")[0].step == 30


def test_an_early_end_draws_the_samples_of_the_last_step(tmp_path):
    config = tiny_config(max_steps=40, eval_every=5, patience=2, sample_every=40)
    fit(task_of(LOSSES), config, tmp_path / "run", progress=False)
    assert [line["step"] for line in read_json_lines(tmp_path / "run" / "samples.jsonl")] == [0, 20]
