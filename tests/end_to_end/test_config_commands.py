"""The commands in the comments of examples/configs run in order, with small data and only the packages of users."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch

import console_blocks
from bytemill.data.sources import SOURCES

CONFIGS = sorted((console_blocks.REPOSITORY / "examples" / "configs").glob("*.toml"))
PLAYS = "ROMEO:\nThe river and the hill, and all the stars of night.\n\nJULIET:\nGood night, good night.\n\n" * 60
ROWS = [
    {"instruction": f"Name the opposite of {word}.", "input": "", "output": f"It is {other}."}
    for word, other in [("hot", "cold"), ("big", "small"), ("old", "new")] * 4
]
PAIRS = [{**row, "chosen": row["output"], "rejected": "Look it up."} for row in ROWS]
ITEM = {"ctx": "The river", "endings": ["and the hill.", "sat.", "is new.", "is old."], "label": 0, "ind": 1}
SHORTENED = {
    "train": "model.n_layer=1 model.n_head=1 model.n_embd=8 data.batch_size=2 data.seq_len=16 train.max_steps=2"
    " train.warmup_steps=0 train.eval_every=1 train.total_batch_tokens=32 data.eval_batches=1",
    "finetune": "data.seq_len=256 train.epochs=1 train.warmup_steps=0",
}
"""What is added to the settings of each command."""


def commands(config: Path) -> list[str]:
    """Return the command lines of a config's comments; text after three spaces describes a command."""
    lines = config.read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("#").strip().split("   ")[0] for line in lines if line.startswith("#   ")]


def short(line: str) -> list[str]:
    """Return the arguments of `bytemill` in a line, with few steps of a small model and data that is in the folder."""
    line = re.sub(r'"\$\(.*?\)"', "input.txt", line).replace("…", "examples/configs/gpt2-124m-fineweb.toml")
    words = shlex.split(line)
    arguments = words[words.index("bytemill") + 1 :]
    settings = SHORTENED.get(arguments[0], "").split()
    if arguments[0] == "sweep":
        return [*arguments, "--dry-run"]
    if "first_shard" in arguments:
        return [*arguments, "--shard-tokens", "1000"]
    return [*arguments, *(["--set"] if settings and "--set" not in arguments else []), *settings]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the comments name, and three small runs to tune."""
    folder = console_blocks.prepared(tmp_path_factory.mktemp("configs"), "")
    (folder / "input.txt").write_text(PLAYS, encoding="utf-8")
    (folder / "alpaca.json").write_text(json.dumps(ROWS), encoding="utf-8")
    (folder / "preferences.json").write_text(json.dumps(PAIRS), encoding="utf-8")
    (folder / "imdb.csv").write_text("text\n" + "A fine film with a river.\n" * 12, encoding="utf-8")
    messages = "ham\tsee you at dinner tonight\nspam\tWIN a cash prize, call now\n" * 12
    (folder / "SMSSpamCollection").write_text(messages, encoding="utf-8")
    (folder / "hellaswag_val.jsonl").write_text(f"{json.dumps(ITEM)}\n" * 3, encoding="utf-8")
    shape = "--layers 1 --heads 1 --width 8 --seq-len 256 --batch-size 2 --steps 2 --set train.warmup_steps=0"
    for line in (
        "bytemill tokenizer train input.txt --vocab-size 300 -o tokenizer.json",
        "bytemill data prepare input.txt -t tokenizer.json -o shards",
        f"bytemill train --data shards -o runs/first {shape}",
    ):
        printed = console_blocks.run(console_blocks.Step(line, ""), folder)
        assert not re.search(r"^\[\d+\]$", printed, re.MULTILINE), printed
    for name in ("base", "tuned"):
        shutil.copytree(folder / "runs" / "first", folder / "runs" / name)
    return folder


@pytest.mark.usefixtures("users_packages")
@pytest.mark.parametrize("config", [*filter(commands, CONFIGS)], ids=lambda path: path.stem)
def test_the_commands_of_a_config_run(
    config: Path, workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(workplace, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(torch, "compile", lambda module: module)
    for line in commands(config):
        assert set(re.findall(r"data fetch ([\w-]+)", line)) <= SOURCES.keys()
        if "data fetch" not in line.partition("$(")[0]:
            arguments = short(line)
            if "-o" in arguments:
                shutil.rmtree(arguments[arguments.index("-o") + 1], ignore_errors=True)
            assert console_blocks.call_bytemill(arguments) == 0, f"{arguments}: {capfd.readouterr().err}"
