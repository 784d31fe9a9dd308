"""The loop on a stand-in model and stream: it knows nothing of tasks, text or GPT-2."""

import json
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bytemill.errors import CheckpointError, ConfigError, DivergedError, Interrupted
from bytemill.train import plain
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run import folder as run_module
from bytemill.train.run.checkpoint import newest_valid, save_checkpoint
from bytemill.train.run.folder_lock import alone_in
from bytemill.train.run.metrics import read_json_lines
from bytemill.train.run.tensorboard import TensorBoard
from bytemill.train.schedule import learning_rate_at
from bytemill.train.task import BatchLoss
from stand_ins import TinyModel, TinyStream, tiny_config, tiny_loss, tiny_task


def weights(task):
    return {name: tensor.clone() for name, tensor in task.model.state_dict().items()}


def assert_equal_weights(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def losses(run):
    keys = ("step", "loss", "lr", "grad_norm", "tokens", "val_loss")
    return [{key: line.get(key) for key in keys} for line in read_json_lines(run / "metrics.jsonl")]


def test_loss_falls_and_the_run_is_written_down(tmp_path):
    config = tiny_config(max_steps=60, sample_every=30, eval_every=20)
    outcome = fit(tiny_task(), config, tmp_path / "run", progress=False)
    lines = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in lines] == list(range(61))
    assert lines[60]["val_loss"] < lines[0]["val_loss"]
    assert outcome.steps == 60
    assert outcome.metrics["loss"] == lines[60]["loss"]
    assert {"loss", "lr", "grad_norm", "ms", "tokens_per_s", "tokens"} <= lines[1].keys()
    assert lines[1]["lr"] == learning_rate_at(0, config.train)
    assert lines[60]["tokens"] == 60 * 10
    assert load_config(tmp_path / "run" / "config.toml") == config
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__
    assert environment["fingerprints"] == {"data": "abc"}
    samples = read_json_lines(tmp_path / "run" / "samples.jsonl")
    assert [sample["step"] for sample in samples] == [0, 30, 60]
    assert not list((tmp_path / "run").rglob("*.tmp*"))


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_steps_equal_the_definition(tmp_path, dropout):
    """The slow twin: one backward pass from the mean over all labels of a step, and torch's own clipping."""
    config = tiny_config(max_steps=5, micro_batches=3, eval_every=0, clip_norm=0.5)
    task = tiny_task(dropout=dropout)
    fit(task, config, tmp_path / "run", progress=False)
    lines = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert any(line["grad_norm"] > 0.5 for line in lines)  # some steps are clipped

    model = TinyModel(dropout=dropout)
    step_losses = plain.train(model, TinyStream(), tiny_loss, config.train)
    assert [line["loss"] for line in lines] == pytest.approx(step_losses, rel=1e-5)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(task.model.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_accumulation_is_exact_with_ragged_labels(tmp_path):
    """Four micro-batches of one sample do what one of four samples does, whatever labels each has."""
    results = []
    for batch_size, micro_batches in ((4, 1), (2, 2), (1, 4)):
        task = tiny_task(dropout=0.0, batches=TinyStream(batch_size=batch_size))
        run = tmp_path / str(batch_size)
        fit(task, tiny_config(micro_batches=micro_batches, eval_every=0), run, progress=False)
        results.append((weights(task), [line["loss"] for line in read_json_lines(run / "metrics.jsonl")]))
    for tensors, step_losses in results[1:]:
        assert step_losses == pytest.approx(results[0][1], rel=1e-6)
        for name, tensor in tensors.items():
            torch.testing.assert_close(tensor, results[0][0][name], rtol=1e-4, atol=1e-5)


class StopsAt(TinyStream):
    """Sends this process a signal while a given micro-batch is fetched."""

    def __init__(self, n_batches, number):
        super().__init__()
        self.n_batches, self.number = n_batches, number

    def __next__(self):
        if self.position == self.n_batches * self.batch_size:
            self.n_batches = -1
            os.kill(os.getpid(), self.number)
        return super().__next__()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_everything_and_resuming_is_bit_equal(tmp_path, number, code):
    config = tiny_config(max_steps=9, eval_every=3, checkpoint_every=4, sample_every=3)
    whole = tiny_task()
    fit(whole, config, tmp_path / "whole", progress=False)

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        fit(tiny_task(batches=StopsAt(5, number)), config, tmp_path / "cut", progress=False)
    assert caught.value.exit_code == code
    assert signal.getsignal(number) is before
    assert newest_valid(tmp_path / "cut")[0].step == 6  # the step that was under way is not lost

    resumed = tiny_task()
    fit(resumed, config, tmp_path / "cut", resume=True, progress=False)
    assert_equal_weights(weights(whole), weights(resumed))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    for name in ("samples.jsonl", "checkpoints/step_00000009/optimizer.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_signal_ends_a_validation_at_once_and_it_is_done_again(tmp_path):
    def endless_validation():
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("validation went on after the signal")

    config = tiny_config(max_steps=4, eval_every=4)
    whole = tiny_task()
    fit(whole, config, tmp_path / "whole", progress=False)
    task = tiny_task(validate=endless_validation)
    with pytest.raises(Interrupted):  # at step 0, before any training
        fit(task, config, tmp_path / "cut", progress=False)
    assert read_json_lines(tmp_path / "cut" / "metrics.jsonl") == []
    fit(tiny_task(), config, tmp_path / "cut", resume=True, progress=False)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_samples_and_validation_do_not_change_training(tmp_path):
    def noisy():
        torch.rand(100)
        return {"val_loss": 1.0}

    quiet, loud = tiny_task(), tiny_task(validate=noisy)
    fit(quiet, tiny_config(eval_every=0), tmp_path / "quiet", progress=False)
    fit(loud, tiny_config(eval_every=1), tmp_path / "loud", progress=False)
    assert_equal_weights(weights(quiet), weights(loud))


def test_resuming_twice_and_after_the_end(tmp_path):
    fit(tiny_task(), tiny_config(max_steps=6), tmp_path / "run", progress=False)
    outcome = fit(tiny_task(), tiny_config(max_steps=6), tmp_path / "run", resume=True, progress=False)
    assert (outcome.steps, outcome.metrics) == (6, {})
    fit(tiny_task(), tiny_config(max_steps=8), tmp_path / "run", resume=True, progress=False)
    assert [line["step"] for line in read_json_lines(tmp_path / "run" / "metrics.jsonl")] == list(range(9))


def test_settings_changed_on_the_way_are_recorded_with_their_step(tmp_path):
    fit(tiny_task(), tiny_config(max_steps=4), tmp_path / "run", progress=False)
    changed = tiny_config(max_steps=8, learning_rate=5e-3)
    fit(tiny_task(), changed, tmp_path / "run", resume=True, progress=False)
    assert read_json_lines(tmp_path / "run" / "changes.jsonl") == [
        {"step": 4, "setting": "train.max_steps", "old": 4, "new": 8},
        {"step": 4, "setting": "train.learning_rate", "old": 0.01, "new": 0.005},
    ]
    assert load_config(tmp_path / "run" / "config.toml") == changed
    last = read_json_lines(tmp_path / "run" / "metrics.jsonl")[-1]
    assert last["lr"] == learning_rate_at(7, changed.train)


def nan_at(step):
    calls = []

    def loss(model, batch):
        calls.append(1)
        loss_sum, weight, metrics = tiny_loss(model, batch)
        return BatchLoss(loss_sum * math.nan if len(calls) == step else loss_sum, weight, metrics)

    return loss


def test_a_loss_that_is_no_number_stops_before_it_harms(tmp_path):
    with pytest.raises(DivergedError, match=r"step 5: the loss is nan.*'position': 8") as caught:
        fit(tiny_task(loss=nan_at(5)), tiny_config(), tmp_path / "run", progress=False)
    assert "last checkpoint" in str(caught.value)
    checkpoint, skipped = newest_valid(tmp_path / "run")
    assert (checkpoint.step, skipped) == (4, [])
    resumed, whole = tiny_task(), tiny_task()
    fit(resumed, tiny_config(), tmp_path / "run", resume=True, progress=False)
    fit(whole, tiny_config(), tmp_path / "whole", progress=False)
    assert_equal_weights(weights(resumed), weights(whole))


def test_a_loss_that_is_no_number_can_be_skipped(tmp_path):
    task = tiny_task(loss=nan_at(3))
    fit(task, tiny_config(on_nonfinite="skip"), tmp_path / "run", progress=False)
    lines = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert lines[3]["skipped"] == 1
    assert "loss" not in lines[3]
    assert all(torch.isfinite(tensor).all() for tensor in weights(task).values())


def test_only_the_given_parameters_move(tmp_path):
    task = tiny_task()
    for parameter in task.model.parameters():
        parameter.requires_grad_(False)
    task.model.middle.bias.requires_grad_(True)
    before = weights(task)
    fit(task, tiny_config(), tmp_path / "run", progress=False)
    after = weights(task)
    assert {n for n in before if not torch.equal(before[n], after[n])} == {"middle.bias"}


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"width": 9}, "from another model: width was 8, and is 9 now"),
        ({"fingerprints": {"data": "xyz"}}, "from another data set: data was 'abc', and is 'xyz' now"),
        (
            {"model_config": {"width": 8}, "model": 9},
            "the shape of embedding.weight is (17, 8) in the file and (17, 9)",
        ),
    ],
)
def test_a_mismatched_resume_names_both_values(tmp_path, other, sentence):
    fit(tiny_task(), tiny_config(max_steps=2), tmp_path / "run", progress=False)
    width = other.pop("model", other.pop("width", 8))
    with pytest.raises(CheckpointError) as caught:
        fit(tiny_task(width=width, **other), tiny_config(), tmp_path / "run", resume=True, progress=False)
    assert sentence in str(caught.value)


def test_two_processes_never_train_in_one_folder(tmp_path):
    fit(tiny_task(), tiny_config(max_steps=1), tmp_path / "run", progress=False)
    with (
        alone_in(tmp_path / "run", others="this test"),
        pytest.raises(ConfigError, match="another process is using this folder; wait for it to finish or stop it"),
    ):
        fit(tiny_task(), tiny_config(max_steps=2), tmp_path / "run", resume=True, progress=False)
    assert fit(tiny_task(), tiny_config(max_steps=2), tmp_path / "run", resume=True, progress=False).steps == 2


def test_folders_are_not_mistaken(tmp_path):
    with pytest.raises(CheckpointError, match="contains no run to resume"):
        fit(tiny_task(), tiny_config(), tmp_path / "none", resume=True, progress=False)
    fit(tiny_task(), tiny_config(max_steps=1), tmp_path / "run", progress=False)
    with pytest.raises(ConfigError, match="already contains a run"):
        fit(tiny_task(), tiny_config(), tmp_path / "run", progress=False)


def test_micro_batches_are_shared_by_the_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match=r"train\.micro_batches is 3; it must be a multiple of the 2"):
        fit(tiny_task(), tiny_config(micro_batches=3), tmp_path / "run", progress=False)


def test_bf16_trains_too(tmp_path):
    fit(
        tiny_task(),
        tiny_config(max_steps=40, precision="bf16", eval_every=40),
        tmp_path / "r",
        progress=False,
    )
    lines = read_json_lines(tmp_path / "r" / "metrics.jsonl")
    assert lines[40]["val_loss"] < lines[0]["val_loss"]


def test_muon_resumes_bit_equal(tmp_path):
    def task():
        made = tiny_task()
        return replace(made, hidden_matrices=[made.model.middle.weight])

    config = tiny_config(optimizer="muon")
    whole, cut = task(), task()
    fit(whole, config, tmp_path / "whole", progress=False)
    fit(task(), config.with_train(max_steps=4), tmp_path / "cut", progress=False)
    fit(cut, config.with_train(max_steps=6), tmp_path / "cut", resume=True, progress=False)
    assert weights(whole).keys() == weights(cut).keys()
    assert newest_valid(tmp_path / "cut")[0].step == 6


def test_fp16_trains_and_leaves_out_steps_that_overflow(tmp_path):
    calls = []

    def loss(model, batch):
        calls.append(1)
        loss_sum, weight, metrics = tiny_loss(model, batch)
        if len(calls) == 3:
            loss_sum.register_hook(lambda gradient: gradient * math.inf)
        return BatchLoss(loss_sum, weight, metrics)

    task = tiny_task(loss=loss)
    fit(task, tiny_config(max_steps=40, precision="fp16", eval_every=40), tmp_path / "run", progress=False)
    lines = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [line["step"] for line in lines if "skipped" in line] == [3]
    assert lines[40]["val_loss"] < lines[0]["val_loss"]
    assert newest_valid(tmp_path / "run")[0].state["loss_scale"] == {"value": 8.0, "good_steps": 37}


def test_fp16_that_overflows_at_every_scale_is_an_error(tmp_path):
    def loss(model, batch):
        loss_sum, weight, metrics = tiny_loss(model, batch)
        loss_sum.register_hook(lambda gradient: gradient * math.inf)
        return BatchLoss(loss_sum, weight, metrics)

    with pytest.raises(DivergedError, match=r"fp16 gradients overflow at every loss scale.*train\.precision=bf16"):
        fit(tiny_task(loss=loss), tiny_config(max_steps=40, precision="fp16"), tmp_path / "run", progress=False)


def worsening_after(n_validations):
    calls = []

    def validate():
        calls.append(1)
        return {"val_loss": float(abs(len(calls) - n_validations))}

    return validate


def test_a_run_without_patience_left_ends_and_stays_ended(tmp_path):
    config = tiny_config(max_steps=50, eval_every=2, patience=3, checkpoint_every=0)
    outcome = fit(tiny_task(validate=worsening_after(4)), config, tmp_path / "run", progress=False)
    assert outcome.steps == 12  # the fourth validation, at step 6, was the best; three more came
    assert newest_valid(tmp_path / "run")[0].step == 12
    again = fit(tiny_task(validate=worsening_after(4)), config, tmp_path / "run", resume=True, progress=False)
    assert again.steps == 12
    on = fit(tiny_task(), config.with_train(patience=0, max_steps=14), tmp_path / "run", resume=True, progress=False)
    assert on.steps == 14


def test_a_checkpoint_is_of_its_step_though_training_goes_on_meanwhile(tmp_path, monkeypatch):
    def slow_save(*arguments, **options):
        time.sleep(0.2)
        return save_checkpoint(*arguments, **options)

    monkeypatch.setattr(run_module, "save_checkpoint", slow_save)
    config = tiny_config(checkpoint_every=2, keep_checkpoints=9)
    fit(tiny_task(), config, tmp_path / "slow", progress=False)
    monkeypatch.undo()
    fit(tiny_task(), config, tmp_path / "plain", progress=False)
    for step in (2, 4, 6):
        name = f"checkpoints/step_{step:08d}/model.safetensors"
        assert (tmp_path / "slow" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_a_checkpoint_that_cannot_be_written_ends_the_run(tmp_path, monkeypatch):
    def full_disk(*_, **__):
        raise CheckpointError("no space left")

    monkeypatch.setattr(run_module, "save_checkpoint", full_disk)
    with pytest.raises(CheckpointError, match="no space left"):
        fit(tiny_task(), tiny_config(max_steps=6), tmp_path / "run", progress=False)


def test_progress_goes_to_stderr_alone(tmp_path, capsys):
    fit(tiny_task(), tiny_config(), tmp_path / "run")
    out, err = capsys.readouterr()
    assert out == ""
    assert "step 6 of 6: loss" in err


def test_a_resume_clears_away_what_a_kill_left(tmp_path):
    every = {"eval_every": 1, "sample_every": 1, "schedule": "constant"}
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    fit(tiny_task(), tiny_config(max_steps=6, **every), whole, progress=False)
    fit(tiny_task(), tiny_config(max_steps=3, **every), cut, progress=False)
    kept = [".report.html.0123456789abcdef.tmp"]  # of another command, which may be at work
    state = "checkpoints/step_00000003/state.json"
    for name in ("metrics.jsonl", "samples.jsonl", "config.toml", "profile/trace.json", state):
        (cut / name).parent.mkdir(exist_ok=True)
        (cut / name).with_name(f".{Path(name).name}.0123456789abcdef.tmp").write_text("{")
    (cut / kept[0]).touch()
    for name in ("metrics.jsonl", "samples.jsonl"):
        with (cut / name).open("ab") as lines:
            lines.write('{"step": 4, "text": "é'.encode()[:-1])
    fit(tiny_task(), tiny_config(max_steps=6, **every), cut, resume=True, progress=False)
    assert losses(cut) == losses(whole)
    assert (cut / "samples.jsonl").read_bytes() == (whole / "samples.jsonl").read_bytes()
    assert [path.name for path in cut.rglob("*.tmp*")] == kept


def test_tensorboard_holds_each_step_once_after_a_resume(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for max_steps in (3, 5):
        config = tiny_config(max_steps=max_steps, tensorboard=True)
        fit(tiny_task(), config, tmp_path / "run", resume=max_steps == 5, progress=False)
        if max_steps == 3:  # and then killed in the middle of a record
            (events,) = (tmp_path / "run" / "tensorboard").iterdir()
            written = events.read_bytes()
            events.write_bytes(written + written[:20])
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    scalars = events.Scalars("loss")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5]
    lines = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert [scalar.value for scalar in scalars] == pytest.approx([line["loss"] for line in lines[1:]])


def test_event_files_of_one_second_are_named_in_the_order_of_their_making(tmp_path, monkeypatch):
    endings = iter("fedcba")
    monkeypatch.setattr("secrets.token_hex", lambda _: next(endings))
    made = []
    for _ in range(6):
        TensorBoard(tmp_path, before_step=0).close()
        made += sorted({path.name for path in tmp_path.iterdir()} - set(made))
    assert made == sorted(made)
    assert len(made) == 6
