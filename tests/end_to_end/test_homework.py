"""The four assignments of docs/homework.md, their commands in order, with few steps and small data."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bytemill.cli import main
from bytemill.data.hub_listing import files_of
from bytemill.data.sources import SOURCES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "homework.md").read_text(encoding="utf-8")
CHINESE = "北京大学的论文和博士学位。研究生手册说明课程、考试和论文的要求。" * 60
PLAYS = "ROMEO:\nThe river and the hill, and all the stars of night.\n\nJULIET:\nGood night, good night.\n\n" * 120
PAIRS = [
    {
        "instruction": f"Name the opposite of {word}.",
        "input": "",
        "output": f"It is {other}.",
        "chosen": f"It is {other}, of course.",
        "rejected": f"Look it up: {other}.",
    }
    for word, other in [("hot", "cold"), ("big", "small"), ("old", "new"), ("good", "bad"), ("far", "near")] * 12
]
MESSAGES = ["ham\tsee you at dinner tonight", "spam\tWIN a cash prize, call 08000 now", "ham\ton my way home"] * 20
SMALL = {"--steps": "2", "--epochs": "0.1", "--max-new-tokens": "4", "--layers": "1", "--heads": "2", "--width": "16"}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a cache of small files under the names of the real data sets."""
    folder = tmp_path_factory.mktemp("homework")
    contents = {
        "pku-manual": CHINESE,
        "tinyshakespeare": PLAYS,
        "instructions": json.dumps(PAIRS),
        "preferences": json.dumps(PAIRS),
        "sms-spam": "\n".join(MESSAGES),
    }
    for name, content in contents.items():
        (remote,) = files_of(SOURCES[name])
        cached = folder / "cache" / name / remote.name
        cached.parent.mkdir(parents=True)
        if SOURCES[name].unpacked:
            (cached.parent / SOURCES[name].unpacked).write_text(content, encoding="utf-8")
            shutil.make_archive(str(cached.with_suffix("")), "zip", cached.parent, SOURCES[name].unpacked)
        else:
            cached.write_text(content, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def judge() -> Iterator[str]:
    """The stand-in judge that the page names, on a free port."""
    script = ROOT / "examples" / "04_tuning" / "stand_in_judge.py"
    with subprocess.Popen([sys.executable, str(script), "0"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield re.search(r"http://\S+", server.stdout.readline())[0]  # type: ignore[index]
        server.terminate()


def commands(number: int) -> list[list[str]]:
    section = PAGE.split(f"\n## {number}. ")[1].split("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return [shlex.split(line)[1:] for line in block.splitlines()]


def shortened(arguments: list[str], judge: str) -> list[str]:
    """Return the command with few steps and small samples."""
    short = list(arguments)
    for option, value in SMALL.items():
        if option in short:
            short[short.index(option) + 1] = value
    if short[:2] == ["eval", "judge"]:
        short += ["--url", judge]
    if short[0] == "ladder":
        short += ["--batch-size", "1", "--seq-len", "16"]
    return short


@pytest.mark.usefixtures("users_packages")
def test_the_assignments_one_after_another(
    workplace: Path, judge: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In one folder and one test, because later assignments use what earlier ones left."""
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("BYTEMILL_CACHE", str(workplace / "cache"))
    monkeypatch.setattr(torch, "compile", lambda module: module)
    for name, content in re.findall(r"^```toml (\S+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        Path(name).write_text(re.sub(r"epochs = \d+", "epochs = 0.1", content), encoding="utf-8")
    for number in (1, 2, 3, 4):
        for arguments in commands(number):
            monkeypatch.setattr("sys.argv", ["bytemill", *shortened(arguments, judge)])
            with pytest.raises(SystemExit) as stopped:
                main()
            assert not stopped.value.code, f"{arguments}: {capfd.readouterr().err}"
        assert "<!doctype html>" in Path(f"homework-{number}.html").read_text(encoding="utf-8").lower()
