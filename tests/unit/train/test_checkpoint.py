import errno
import json
import random
import shutil

import pytest
import torch

from bytemill.errors import CheckpointError
from bytemill.model import weight_files
from bytemill.train.config import TrainConfig
from bytemill.train.loop import fit
from bytemill.train.optim import build_optimizer
from bytemill.train.run import checkpoint
from bytemill.train.run.checkpoint import newest_valid, save_checkpoint, tidy_checkpoints, verify_checkpoint
from bytemill.train.run.tensors import SavedTensors, load_optimizer, load_weights
from stand_ins import TinyModel, tiny_config, tiny_task

FILES = ("model.safetensors", "config.json", "optimizer.safetensors", "state.json")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "run"
    fit(tiny_task(), tiny_config(max_steps=4, keep_checkpoints=2), folder, progress=False)
    return folder


def test_a_tied_tensor_is_saved_once_and_loaded_as_one(run):
    path = newest_valid(run)[0].path
    model = TinyModel(seed=1)
    load_weights(path, model)
    assert model.head.weight is model.embedding.weight
    optimizer = build_optimizer(model.parameters(), TrainConfig())
    load_optimizer(path, model, optimizer)
    assert optimizer.state[model.embedding.weight]["step"] == 4
    assert optimizer.param_groups[0]["lr"] == 6e-4


def test_no_pickle_is_written(run):
    names = {path.name for path in (run / "checkpoints").rglob("*") if path.is_file()}
    assert names == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_found(run, tmp_path, name):
    _check_flips(run, tmp_path, name, n_flips=60)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_a_thousand_flipped_bits_are_found(run, tmp_path, name):
    _check_flips(run, tmp_path, name, n_flips=1000)


def _check_flips(run, tmp_path, name, n_flips):
    path = tmp_path / "step_00000004"
    shutil.copytree(run / "checkpoints" / "step_00000004", path)
    verify_checkpoint(path)
    whole = (path / name).read_bytes()
    for place in random.Random(0).choices(range(len(whole) * 8), k=n_flips):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        (path / name).write_bytes(damaged)
        with pytest.raises(CheckpointError) as caught:
            verify_checkpoint(path)
        assert name in str(caught.value)


@pytest.mark.parametrize("name", FILES)
def test_every_cut_is_found_and_the_one_before_is_taken(run, tmp_path, name):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    file = copy / "checkpoints" / "step_00000004" / name
    whole = file.read_bytes()
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        found, skipped = newest_valid(copy)
        assert found.step == 2
        assert len(skipped) == 1
        assert str(file) in skipped[0]
    file.unlink()
    found, skipped = newest_valid(copy)
    assert (found.step, len(skipped)) == (2, 1)
    assert name in skipped[0]


def test_an_unknown_version_is_refused(run, tmp_path):
    path = tmp_path / "step_00000004"
    shutil.copytree(run / "checkpoints" / "step_00000004", path)
    state = json.loads((path / "state.json").read_text()) | {"format_version": 99}
    state.pop("sha256")
    (path / "state.json").write_text(checkpoint._spell(state))
    with pytest.raises(CheckpointError, match="format version 99; this program reads version 1"):
        verify_checkpoint(path)


def test_resuming_passes_over_damage_says_so_and_writes_it_anew(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "checkpoints" / "step_00000004" / "model.safetensors").write_bytes(b"")
    fit(tiny_task(), tiny_config(max_steps=4), copy, resume=True)
    said = "".join(capsys.readouterr().err.split("\n"))
    assert "skipped a checkpoint" in said
    assert "resumed after step 2" in said
    for name in ("model.safetensors", "optimizer.safetensors"):
        ours, theirs = (folder / "checkpoints" / "step_00000004" / name for folder in (copy, run))
        assert ours.read_bytes() == theirs.read_bytes()


def test_nothing_whole_is_an_error_that_says_why(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for file in copy.rglob("state.json"):
        file.write_text("{}")
    with pytest.raises(CheckpointError, match=r"no checkpoint of this run is intact: .*state\.json"):
        fit(tiny_task(), tiny_config(), copy, resume=True, progress=False)


def test_the_newest_and_the_best_are_kept(tmp_path):
    figures = iter([9.0, 5.0, 1.0, 4.0, 3.0, 2.0])
    task = tiny_task(validate=lambda: {"val_loss": next(figures)})
    config = tiny_config(max_steps=5, eval_every=1, checkpoint_every=1, keep_checkpoints=2)
    fit(task, config, tmp_path / "run", progress=False)
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step_00000002", "step_00000004", "step_00000005"]


def test_a_validation_tells_of_its_own_step_alone(tmp_path):
    config = tiny_config(max_steps=4, eval_every=2, log_every=2, checkpoint_every=3, keep_checkpoints=2)
    fit(tiny_task(), config, tmp_path / "other", progress=False)
    states = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("other/checkpoints/*/state.json"))]
    assert [(state["step"], state["validation_loss"] is None) for state in states] == [(3, True), (4, False)]


def test_a_good_checkpoint_is_there_at_every_instant_while_its_state_is_written_anew(tmp_path, monkeypatch):
    tensors = SavedTensors({"weight": torch.ones(3)}, {"weight:step": torch.ones(())})

    def save(**state):
        return save_checkpoint(tmp_path, step=1, tensors=tensors, model_config={}, state=state, keep=1)

    final = save(pending={"loss": 1.0})
    monkeypatch.setattr("pathlib.Path.rename", lambda path, _: pytest.fail(f"{path} was moved away"))
    save(pending=None, validation_loss=2.0)
    assert verify_checkpoint(final)["validation_loss"] == 2.0
    assert [path.name for path in tmp_path.iterdir()] == [final.name]


def test_what_a_kill_left_in_a_checkpoint_is_cleared_away(tmp_path):
    tensors = SavedTensors({"weight": torch.ones(3)}, {"weight:step": torch.ones(())})
    outside = tmp_path / "outside"
    linked = tmp_path / "run" / "step_00000003"
    for step in (1, 2):
        final = save_checkpoint(tmp_path / "run", step=step, tensors=tensors, model_config={}, state={}, keep=9)
        (final / ".state.json.0123456789abcdef.tmp").write_text("{")
        (final / ".notes.txt.0123456789abcdef.tmp").write_text("theirs")
    shutil.copytree(final, outside)
    linked.symlink_to(outside)
    tidy_checkpoints(tmp_path / "run", newest=1, keep=9)
    assert {path.parent.name for path in tmp_path.rglob(".state.json.*")} == {"outside"}
    assert len(list(tmp_path.rglob(".notes.txt.*"))) == 3


@pytest.mark.parametrize(("module", "fails"), [(weight_files, "write_tensors"), (checkpoint, "write_text")])
def test_a_full_disk_is_reported_and_the_old_checkpoint_loads(tmp_path, monkeypatch, module, fails):
    config = tiny_config(max_steps=4)
    fit(tiny_task(), tiny_config(max_steps=2), tmp_path / "run", progress=False)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, fails, full)
        with pytest.raises(CheckpointError, match=r"step_00000004: .*could not be written: .*No space left"):
            fit(tiny_task(), config, tmp_path / "run", resume=True, progress=False)
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step_00000002"]
    again = tiny_task()
    fit(again, config, tmp_path / "run", resume=True, progress=False)
    assert newest_valid(tmp_path / "run")[0].step == 4


def test_other_parameters_are_named(run):
    path = newest_valid(run)[0].path
    model = TinyModel()
    with pytest.raises(CheckpointError, match=r"embedding\.weight is trained in only one of the two"):
        load_optimizer(path, model, build_optimizer(model.middle.parameters(), TrainConfig()))
    with pytest.raises(CheckpointError, match=r"it (holds|lacks) \S+, which this model (has|lacks)"):
        load_weights(path, torch.nn.Linear(2, 2))
