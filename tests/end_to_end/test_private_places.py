"""A run's folder and its pages hold neither the user's name nor the home folder, and the run still goes on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bytemill.places import portable_path, resolved_path, without_user
from bytemill.train.config import load_config

SECRET = "secretuser"
TEXT = "to be or not to be, that is the question\n" * 40
SETTINGS = (
    *("train.max_steps=4", "train.warmup_steps=1", "train.threads=1", "train.checkpoint_every=2", "train.eval_every=2"),
    *("model.n_layer=1", "model.n_head=1", "model.n_embd=8", "data.seq_len=16", "data.batch_size=2"),
    *("train.sample_every=2", "sample.max_new_tokens=2", "train.profile_steps=1"),
)


@pytest.fixture
def home(tmp_path):
    home = tmp_path / "home" / SECRET
    home.mkdir(parents=True)
    return home


def bytemill(home, *arguments, cwd=None, succeeds=True):
    environment = {**os.environ, "HOME": str(home), "USER": SECRET, "LOGNAME": SECRET}
    command = [sys.executable, "-m", "bytemill", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd or home, check=False)
    assert (done.returncode == 0) == succeeds, done.stderr
    return done


def files_with(word, folder):
    paths = [path for path in folder.rglob("*") if path.is_file()]
    names = [path for path in paths if word in str(path.relative_to(folder))]
    return [*names, *(path for path in paths if word.encode() in path.read_bytes())]


def prepare(home):
    (home / "a.txt").write_text(TEXT)
    bytemill(home, "tokenizer", "train", "a.txt", "--vocab-size", 270, "-o", "t.json")
    bytemill(home, "data", "prepare", "a.txt", "-t", "t.json", "-o", "shards", "--val", "0.1")


def test_a_run_in_a_home_folder_names_nobody_and_resumes(home, tmp_path):
    prepare(home)
    run = home / "runs" / "a"
    data = [f"data.path={home / 'shards'}", f"data.tokenizer={home / 't.json'}"]
    bytemill(home, "train", "--set", *SETTINGS, *data, "-o", run)
    assert files_with(SECRET, run) == []
    assert [path for path in run.rglob("*") if os.uname().nodename in path.name.split(".")] == []
    assert 'path = "~/shards"' in (run / "config.toml").read_text()
    bytemill(home, "report", run)
    assert files_with(SECRET, run) == []
    # From elsewhere, as nothing is relative to the folder in which the run began.
    again = ["train", "--resume", "-o", run, "--set", "train.max_steps=6", f"data.tokenizer={home / 't.json'}"]
    bytemill(home, *again, cwd=tmp_path)
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 6
    changes = [json.loads(line)["setting"] for line in (run / "changes.jsonl").read_text().splitlines()]
    assert changes == ["train.max_steps"]
    assert files_with(SECRET, run) == []
    # The saved settings repeat the run.
    bytemill(home, "train", "--config", run / "config.toml", "-o", tmp_path / "b", cwd=tmp_path)
    assert files_with(SECRET, tmp_path / "b") == []


def test_a_private_page_holds_neither_machine_nor_command(home):
    prepare(home)
    bytemill(home, "train", "--set", *SETTINGS, "data.path=shards", "-o", "run")
    environment = json.loads((home / "run" / "environment.json").read_text())
    details = [environment["machine"]["system"], environment["packages"]["torch"], "train --set"]
    bytemill(home, "report", "run", "-o", "open.html")
    bytemill(home, "report", "run", "-o", "private.html", "--private")
    page = (home / "open.html").read_text()
    assert [one for one in details if one not in page] == []
    page = (home / "private.html").read_text()
    assert [one for one in [*details, "Environment"] if one in page] == []


def test_a_run_of_an_earlier_version_with_whole_paths_still_resumes(home, tmp_path):
    prepare(home)
    run = home / "run"
    bytemill(home, "train", "--set", *SETTINGS, "data.path=shards", "-o", run)
    config = run / "config.toml"
    config.write_text(config.read_text().replace('path = "shards"', f'path = "{home / "shards"}"'))
    bytemill(home, "train", "--resume", "-o", run, "--set", "train.max_steps=6", cwd=tmp_path)
    assert 'path = "~/shards"' in config.read_text()


def test_a_folder_with_the_users_name_elsewhere_is_written_relative_to_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home" / SECRET))
    scratch = tmp_path / "scratch" / SECRET
    (scratch / "shards").mkdir(parents=True)
    run = scratch / "runs" / "a"
    run.mkdir(parents=True)
    written = portable_path(str(scratch / "shards"), run)
    assert written == "{run}/../../shards"
    assert Path(resolved_path(written, run)).samefile(scratch / "shards")
    (run / "config.toml").write_text(f'base = "{written}"\n')
    assert Path(load_config(run / "config.toml").base).samefile(scratch / "shards")
    assert portable_path("/data/shards", run) == "/data/shards"
    assert portable_path(f"{SECRET}/gpt2", run) == f"{SECRET}/gpt2"  # a hub's repository


def test_text_for_people_loses_home_and_user(tmp_path, monkeypatch):
    home = tmp_path / SECRET
    monkeypatch.setenv("HOME", str(home))
    assert without_user(f"see {home}/runs, {home} and /scratch/{SECRET}/x") == "see ~/runs, ~ and /scratch/user/x"
    for kept in (f"{home}x/runs", f"/scratch/{SECRET}x", SECRET):
        assert without_user(kept) == kept
