"""An output that is also an input is refused before anything is written: no command destroys what it reads."""

import os
import sys
from pathlib import Path

import pytest

from bytemill import Tokenizer, cli
from bytemill.cli.output_paths import _guarded
from bytemill.data import merge, prepare
from bytemill.errors import ArgumentError
from bytemill.train.loop import fit
from stand_ins import tiny_config, tiny_task

TEXT = "to be or not to be, that is the question\n" * 9


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a text, a tokenizer, shards, a model and a run's metrics, also under other names."""
    monkeypatch.chdir(tmp_path)
    Path("b.txt").write_text(TEXT, encoding="utf-8")
    tokenizer = Tokenizer.train(files=["b.txt"], vocab_size=270)
    tokenizer.save("t.json")
    tokenizer.save("gpt2", format="gpt2")
    Path("corpus").mkdir()
    Path("corpus/c.txt").write_text(TEXT, encoding="utf-8")
    prepare("b.txt", "shards", tokenizer=tokenizer, val=0.1)
    Path("model").mkdir()
    for name in ("model.safetensors", "config.json", "adapter_config.json"):
        Path("model", name).write_text("content", encoding="utf-8")
    Path("run").mkdir()
    for name in ("metrics.jsonl", "config.toml"):
        Path("run", name).write_text("content", encoding="utf-8")
    Path("rows.json").write_text("[]", encoding="utf-8")
    Path("ids.txt").write_text("1 2 3", encoding="utf-8")
    Path("soft").symlink_to("b.txt")
    os.link("b.txt", "hard")
    return tmp_path


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


COMMANDS = [
    "tokenizer encode -t t.json b.txt --out b.txt",
    "tokenizer encode -t t.json b.txt --out soft",
    "tokenizer encode -t t.json b.txt --out hard",
    "tokenizer encode -t t.json soft --out b.txt",
    "tokenizer encode -t t.json corpus --out corpus/c.txt",
    "tokenizer encode -t t.json b.txt --out t.json",
    "tokenizer decode -t t.json ids.txt --out ids.txt",
    "tokenizer train b.txt --vocab-size 270 -o b.txt",
    "tokenizer train corpus --vocab-size 270 -o corpus/c.txt",
    "tokenizer train corpus --vocab-size 270 -o n.json --held-out b.txt --report b.txt",
    "tokenizer train corpus --vocab-size 270 -o n.json --save-counts corpus/c.txt",
    "tokenizer train corpus --vocab-size 270 -o t.json --base t.json",
    "tokenizer convert t.json t.json",
    "tokenizer convert gpt2 gpt2 --format gpt2",
    "tokenizer convert gpt2 gpt2/vocab.json",
    "tokenizer inspect -t t.json b.txt -o b.txt --format text",
    "tokenizer inspect -t t.json --text a -o t.json",
    "tokenizer compare own=t.json -f b.txt -o b.txt --format text",
    "tokenizer compare own=t.json -f b.txt -o t.json",
    "tokenizer audit -t t.json -o t.json",
    "data prepare corpus -t t.json -o corpus",
    "data merge shards -o shards",
    "data stats shards --plot shards/manifest.json",
    "data stats shards -t t.json --plot t.json",
    "model export model model",
    "model import model model",
    "model import model/model.safetensors model",
    "model merge model model",
    "model merge model new --adapter new",
    "generate -m model -t t.json --rows rows.json -o rows.json",
    "generate -m model -t t.json --rows rows.json -o model/config.json",
    "report run -o run/metrics.jsonl",
    "eval judge rows.json --judge j --page rows.json",
    "eval prompts -m base=model -t t.json --rows rows.json --page rows.json",
    "eval matrix -m model -t t.json -d own=rows.json --page rows.json",
    "finetune instruct --model model --data rows.json -t t.json -o model",
    "finetune lm --set base=model data.path=rows.json -o model",
    "train --set data.path=shards -o shards",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_refuses_to_write_over_what_it_reads(folder, monkeypatch, capsys, line):
    if "--adapter new" in line:
        Path("new").mkdir()
    before = contents(folder)
    monkeypatch.setattr(sys, "argv", ["bytemill", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2, said
    assert "is also an input" in said
    assert contents(folder) == before


@pytest.mark.parametrize(
    "line", ["tokenizer encode -t t.json b.txt --out new.bin", "tokenizer convert t.json new.json"]
)
def test_other_outputs_are_written(folder, monkeypatch, line):
    monkeypatch.setattr(sys, "argv", ["bytemill", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    assert Path(line.split()[-1]).is_file()


def test_every_command_is_guarded():
    def callbacks(group):
        for command in group.registered_commands:
            yield command.callback
        for inner in group.registered_groups:
            yield from callbacks(inner.typer_instance)

    code = _guarded(lambda: None).__code__
    assert [one for one in callbacks(cli.app) if one.__code__ is not code] == []


def test_python_calls_refuse_it_too(folder):
    tokenizer = Tokenizer.load("t.json")
    before = contents(folder)
    for call in (
        lambda: tokenizer.encode_to_file("b.txt", "b.txt"),
        lambda: tokenizer.encode_to_file(["corpus", "b.txt"], "hard"),
        lambda: Tokenizer.train(files="b.txt", vocab_size=270, save_counts="soft"),
        lambda: prepare("corpus", "corpus", tokenizer=tokenizer),
        lambda: merge(["shards"], "shards"),
        lambda: fit(tiny_task(), tiny_config().model_copy(update={"base": "model"}), "model", progress=False),
    ):
        with pytest.raises(ArgumentError, match="is also an input"):
            call()
    assert contents(folder) == before
