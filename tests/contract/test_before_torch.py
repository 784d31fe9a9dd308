"""Help and errors about settings and paths come before torch is imported, which takes seconds."""

import subprocess
import sys

import pytest

PROBE = """
import sys
from bytemill.cli import main
try:
    main()
except SystemExit as stopped:
    code = stopped.code or 0
loaded = sorted({"torch", "transformers"} & sys.modules.keys())
print(code, loaded, file=sys.stderr)
"""


def probe(folder, arguments):
    """Exit code, heavy modules that were imported, and the first line of stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments.split()], cwd=folder, capture_output=True, text=True, check=True
    )
    *said, last = done.stderr.splitlines()
    code, _, loaded = last.partition(" ")
    return int(code), loaded, "\n".join(said)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rows.csv").write_text("text\na\nb\n")
    (tmp_path / "runs").mkdir()
    (tmp_path / "sweep.toml").write_text('[grid]\n"train.batch_size" = [1]\n')
    return tmp_path


@pytest.mark.parametrize(
    "arguments",
    ["--help", "train --help", "finetune lm --help", "generate --help", "report --help", "tokenizer audit --help"],
)
def test_help(folder, arguments):
    assert probe(folder, arguments) == (0, "[]", "")


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ("train --set train.batch_size=1", 2, "data.batch_size"),
        ("train --set train.precision=fp8", 2, "train.precision is 'fp8'"),
        ("train --steps x", 2, "--steps"),
        ("train --steps -1", 2, "train.max_steps is -1"),
        ("train --steps 1 --set train.max_steps=2", 2, "contradict"),
        ("train --set data.path=nowhere", 2, "nowhere/manifest.json"),
        ("train", 2, "data.path is not given"),
        ("train -c nowhere.toml", 2, "nowhere.toml"),
        ("train --resume -o nowhere", 2, "nowhere: contains no run to resume"),
        ("finetune lm --data nowhere.csv", 1, "nowhere.csv: no such file"),
        ("finetune lm --data rows.csv --set data.val=nowhere.csv", 1, "nowhere.csv: no such file"),
        ("finetune lm --data rows.csv -t nowhere", 2, "no tokenizer 'nowhere'"),
        ("finetune lm --data rows.csv -t gpt2 --model ./nowhere", 1, "base: ./nowhere"),
        ("finetune lm --data rows.csv -t gpt2 --set model.n_head=7", 2, "cannot be divided into 7 heads"),
        ("finetune lm --data rows.csv -t gpt2 --set model.n_heads=7", 2, "did you mean model.n_head?"),
        ("sweep -c sweep.toml", 2, "data.batch_size"),
        ("sweep -c nowhere.toml", 2, "nowhere.toml"),
        ("generate -m ./nowhere hello", 1, "./nowhere"),
        ("generate -m runs/nowhere hello", 1, "runs/nowhere"),
        ("generate -m ./nowhere --rows rows.json", 1, "rows.json"),
        ("chat -m ./nowhere", 1, "./nowhere"),
        ("serve ./nowhere", 1, "./nowhere"),
        ("serve runs --host 0.0.0.0", 2, "--host 0.0.0.0 lets other machines send requests"),
        ("classify -m ./nowhere hello", 1, "./nowhere"),
        ("eval loss -m ./nowhere -d shards", 1, "shards/manifest.json"),
        ("eval hellaswag -m ./nowhere -d rows.csv", 1, "./nowhere"),
        ("eval hellaswag -m ./nowhere -d items.jsonl", 1, "items.jsonl"),
        ("eval matrix -m ./nowhere -d rows.csv", 1, "./nowhere"),
        ("eval matrix -m ./nowhere -d rows.json", 1, "rows.json"),
        ("eval classify ./nowhere -d rows.csv", 1, "./nowhere"),
        ("eval prompts -m ./nowhere", 1, "./nowhere"),
        ("eval judge nowhere.json --judge x", 1, "nowhere.json"),
        ("model info ./nowhere", 1, "./nowhere"),
        ("model export ./nowhere out", 1, "./nowhere"),
        ("model merge ./nowhere out", 1, "./nowhere"),
        ("ladder --data nowhere", 2, "nowhere/manifest.json"),
        ("data inspect nowhere.csv --task lm -t gpt2", 1, "nowhere.csv"),
        ("report nowhere", 1, "nowhere"),
    ],
)
def test_wrong_settings_and_missing_paths(folder, arguments, code, named):
    found, loaded, said = probe(folder, arguments)
    assert (found, loaded) == (code, "[]"), said
    assert named in said
    assert len(said.splitlines()) == 1


def test_a_shape_that_does_not_fit_the_shards(folder):
    from bytemill import Tokenizer
    from bytemill.data import prepare

    (folder / "text.txt").write_text("a cat sat on the mat " * 200)
    tokenizer = Tokenizer.train(files=[folder / "text.txt"], vocab_size=280)
    prepare(folder / "text.txt", folder / "shards", tokenizer=tokenizer)
    for setting, said in (
        ("model.vocab_size=20", "model.vocab_size is 20, but the ids of shards need"),
        ("model.n_positions=8", "data.seq_len is 256, above model.n_positions, 8"),
        ("base=./nowhere", "base: ./nowhere"),
        ("train.total_batch_tokens=65", "train.total_batch_tokens is 65; it must be a multiple"),
        ("data.more_val.x=other", "data.more_val.x: other/manifest.json cannot be read"),
    ):
        code, loaded, found = probe(folder, f"train --set data.path=shards {setting}")
        assert (code in (1, 2), loaded) == (True, "[]"), found
        assert said in found
