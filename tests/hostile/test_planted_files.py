"""Links, pipes and devices where a file is to be written: nothing outside is changed, nothing of the machine's lost."""

import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from bytemill import files
from bytemill.errors import ArgumentError, ConfigError
from bytemill.evaluate.journal import Journal
from bytemill.model.weight_files import read_json, write_json, write_tensors
from bytemill.report.page import Page, write_page
from bytemill.train.loop import fit
from bytemill.train.run.checkpoint import newest_valid
from bytemill.train.run.folder_lock import alone_in
from bytemill.train.run.metrics import JsonLines, read_json_lines
from stand_ins import TinyModel, tiny_config, tiny_task

PAGE = Page("title", "lead", ())
WRITERS = {
    "write_text": lambda path: files.write_text(path, "new"),
    "write_with": lambda path: files.write_with(path, lambda temporary: temporary.write_text("new")),
    "page": lambda path: write_page(PAGE, path),
    "json": lambda path: write_json({"a": 1}, path),
    "tensors": lambda path: write_tensors({"a": torch.ones(2)}, path),
    "metrics": lambda path: JsonLines(path, before_step=0).close(),
    "journal": lambda path: Journal(path, {"work": "own"}).__exit__(),
}


@pytest.fixture(params=WRITERS)
def write(request):
    return WRITERS[request.param]


def test_a_link_with_a_predictable_temporary_name_is_not_followed(tmp_path, write):
    victim = tmp_path / "victim"
    victim.write_text("somebody's")
    for ending in (".tmp", ".part", ".writing", f".{os.getpid()}.writing"):
        (tmp_path / f"out{ending}").symlink_to(victim)
        (tmp_path / f".out{ending}").symlink_to(victim)
    before = sorted(tmp_path.iterdir())
    write(tmp_path / "out")
    assert victim.read_text() == "somebody's"
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "out"])


def test_a_link_is_followed_and_stays(tmp_path, write):
    target = tmp_path / "elsewhere"
    (tmp_path / "link").symlink_to(target)
    write(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert target.is_file()


def test_the_mode_is_the_umasks(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


@pytest.mark.parametrize("name", ["write_text", "write_with", "page", "json", "tensors"])
def test_a_pipe_and_a_device_are_written_to_and_stay(tmp_path, name):
    pipe, content = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: content.append(pipe.read_bytes()))
    reader.start()
    WRITERS[name](pipe)
    reader.join(10)
    WRITERS[name](tmp_path / "file")
    assert content == [(tmp_path / "file").read_bytes()]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    WRITERS[name]("/dev/null")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("name", ["write_text", "write_with", "page", "json", "tensors"])
def test_a_full_device_is_one_error_with_its_name(name):
    with pytest.raises(OSError, match="No space left") as raised:
        WRITERS[name]("/dev/full")
    assert str(raised.value.filename) == "/dev/full"


LIMITED = """
import resource, signal, sys
from pathlib import Path
import torch
from bytemill import files
from bytemill.evaluate.journal import Journal
from bytemill.model.weight_files import write_tensors
from bytemill.train.run.metrics import JsonLines
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
path, large = Path(sys.argv[2]), "x" * 100_000

def grow(lines, add):
    for number in range(9):
        add(lines, number)

{"write_text": lambda: files.write_text(path, large),
 "write_with": lambda: files.write_with(path, lambda temporary: temporary.write_text(large)),
 "tensors": lambda: write_tensors({"a": torch.ones(100_000)}, path),
 "metrics": lambda: grow(JsonLines(path, before_step=0), lambda lines, n: lines.append({"step": n, "text": large})),
 "journal": lambda: grow(Journal(path, {}), lambda lines, n: lines.add(n, {"text": large})),
}[sys.argv[1]]()
"""


@pytest.mark.parametrize("name", ["write_text", "write_with", "tensors", "metrics", "journal"])
def test_a_file_that_may_not_grow_is_one_error_and_leaves_nothing_half(tmp_path, name):
    path = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", LIMITED, name, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "File too large" in last, last
    assert "out" in last, last
    if name in ("metrics", "journal"):  # the cut line is left out when the work goes on
        with_cut_line = path.read_bytes()
        assert with_cut_line
        JsonLines(path, before_step=99).close() if name == "metrics" else Journal(path, {}).__exit__()
        assert path.read_bytes() == with_cut_line[: with_cut_line.rfind(b"\n") + 1]
    else:
        assert list(tmp_path.iterdir()) == []


def test_a_line_cut_by_a_kill_is_left_out_and_written_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    lines = JsonLines(path, before_step=3)
    lines.append({"step": 3})
    lines.close()
    assert [line["step"] for line in read_json_lines(path)] == [1, 2, 3]


def test_the_lock_is_never_emptied_and_never_followed(tmp_path):
    (tmp_path / "lock").write_text("somebody's")
    with alone_in(tmp_path, others="another"):
        pass
    assert (tmp_path / "lock").read_text() == "somebody's"
    (tmp_path / "lock").unlink()
    (tmp_path / "victim").write_text("somebody's")
    (tmp_path / "lock").symlink_to("victim")
    with (
        pytest.raises(ConfigError, match="lock: the folder cannot be locked: is a symbolic link"),
        alone_in(tmp_path, others="another"),
    ):
        pass
    assert (tmp_path / "victim").read_text() == "somebody's"
    (tmp_path / "lock").unlink()
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(ConfigError, match="is not a regular file"), alone_in(tmp_path, others="another"):
        pass


def test_planted_names_in_a_runs_folder_change_nothing_outside(tmp_path):
    run, victim = tmp_path / "run", tmp_path / "victim"
    (run / "checkpoints").mkdir(parents=True)
    victim.mkdir()
    (victim / "precious").write_text("somebody's")
    for name in ("metrics.jsonl", "samples.jsonl", "changes.jsonl", "config.toml", "environment.json"):
        (run / f"{name}.tmp").symlink_to(victim / "precious")
    for name in ("step_00000002.tmp", "step_00000004.tmp-old", "step_00000004.tmp"):
        (run / "checkpoints" / name).symlink_to(victim)
    (run / "checkpoints" / "step_00000003.tmp").write_text("a stray file")
    (run / "checkpoints" / "step_00000002.tmp.mine").mkdir()
    fit(tiny_task(), tiny_config(max_steps=4, checkpoint_every=2), run, progress=False)
    assert newest_valid(run)[0].step == 4
    assert (victim / "precious").read_text() == "somebody's"
    assert [path.name for path in victim.iterdir()] == ["precious"]
    assert (run / "checkpoints" / "step_00000002.tmp.mine").is_dir()


def test_a_half_written_checkpoint_of_any_version_is_cleared_away(tmp_path):
    checkpoints = tmp_path / "run" / "checkpoints"
    for name in ("step_00000001.tmp", "step_00000001.tmp-old", "step_00000001.0123456789abcdef.tmp"):
        (checkpoints / name).mkdir(parents=True)
        (checkpoints / name / "model.safetensors").write_bytes(b"half")
    fit(tiny_task(), tiny_config(max_steps=1), tmp_path / "run", progress=False)
    assert [path.name for path in checkpoints.iterdir()] == ["step_00000001"]


def test_an_outdated_checkpoint_that_lies_elsewhere_loses_its_link_alone(tmp_path):
    run = tmp_path / "run"
    fit(tiny_task(), tiny_config(max_steps=1), run, progress=False)
    moved = (run / "checkpoints" / "step_00000001").rename(tmp_path / "larger_disk")
    (run / "checkpoints" / "step_00000001").symlink_to(moved)
    config = tiny_config(max_steps=3, checkpoint_every=1, keep_checkpoints=1, eval_every=0)
    fit(tiny_task(), config, run, resume=True, progress=False)
    assert newest_valid(run)[0].step == 3
    assert (moved / "state.json").is_file()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "config.json", "state.json"])
def test_a_checkpoints_files_have_the_mode_of_any_file(tmp_path, name):
    before = os.umask(0o022)
    try:
        fit(tiny_task(), tiny_config(max_steps=1), tmp_path / "run", progress=False)
    finally:
        os.umask(before)
    folder = tmp_path / "run" / "checkpoints" / "step_00000001"
    assert stat.S_IMODE((folder / name).stat().st_mode) == 0o644
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_an_output_that_is_an_input_is_refused_through_links(tmp_path):
    (tmp_path / "corpus").mkdir()
    text = tmp_path / "corpus" / "a.txt"
    text.write_text("text")
    (tmp_path / "soft").symlink_to(text)
    os.link(text, tmp_path / "hard")
    for output in (text, tmp_path / "soft", tmp_path / "hard"):
        for inputs in ([text], ["hf:a/b", None, tmp_path / "corpus"]):
            with pytest.raises(ArgumentError, match="is also an input"):
                files.refuse_input_as_output(output, inputs, walk=True)
    for output in (None, "-", tmp_path / "new", tmp_path / "corpus" / "new"):
        files.refuse_input_as_output(output, [text, tmp_path / "corpus"], walk=True)
    with pytest.raises(ArgumentError, match="is also an input"):
        files.refuse_input_as_output(tmp_path / "corpus", [tmp_path / "corpus"])


def test_settings_are_read_back_as_written(tmp_path):
    write_json({"é": [1, None]}, tmp_path / "a.json")
    assert read_json(tmp_path / "a.json") == {"é": [1, None]}
    assert json.loads((tmp_path / "a.json").read_text()) == {"é": [1, None]}
    assert isinstance(TinyModel(), torch.nn.Module)
