"""What the base can do without the extras: tokenizers, shards and their commands; the rest names what to install."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bytemill.extras import EXTRA_OF, needing

EXTRAS = tuple(EXTRA_OF)
WITHOUT = f"""
import sys
for name in {EXTRAS!r}:
    sys.modules[name] = None
"""
TEXT = "the cat sat on the mat, and the dog sat on the cat. " * 300


def light(code, folder, *arguments):
    """Run code in a Python that has none of the extras."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def command(folder, *arguments):
    return light("from bytemill.cli import main; main()", folder, *arguments)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    return tmp_path


def test_the_base_trains_encodes_prepares_and_verifies(folder):
    code = """
from bytemill import Tokenizer
from bytemill.data import prepare, verify
tokenizer = Tokenizer.train(files=["text.txt"], vocab_size=300)
text = open("text.txt").read()
assert tokenizer.decode(tokenizer.encode(text)) == text
tokenizer.save("tokenizer.json")
assert Tokenizer.load("tokenizer.json").encode_to_numpy(text).tolist() == tokenizer.encode(text)
prepare("text.txt", "shards", tokenizer=tokenizer, val=0.1)
verify("shards")
print("torch" in sys.modules and sys.modules["torch"] is not None)
"""
    done = light(code, folder)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_the_commands_of_tokenizers_and_shards_work_without_extras(folder):
    for line in (
        "tokenizer train text.txt --vocab-size 300 -o tokenizer.json",
        "tokenizer encode -t tokenizer.json text.txt",
        "tokenizer check -t tokenizer.json text.txt",
        "tokenizer inspect -t tokenizer.json --text cat -o inspected.html",
        "tokenizer compare gpt2 tokenizer.json --text text.txt -o compared.html",
        "tokenizer convert tokenizer.json readable.json --format readable",
        "data prepare text.txt -t tokenizer.json -o shards --val 0.1",
        "data verify shards",
        "data verify shards --against text.txt -t tokenizer.json",
        "data inspect shards -t tokenizer.json",
        "data fetch",
        "doctor",
    ):
        done = command(folder, *line.split())
        assert done.returncode == 0, (line, done.stderr)


@pytest.mark.parametrize(
    ("line", "package", "extra"),
    [
        ("train --set data.path=shards", "torch", "train"),
        ("finetune chat --model run --data rows.json", "torch", "train"),
        ("generate -m run hello", "torch", "train"),
        ("chat -m run", "torch", "train"),
        ("serve run", "torch", "train"),
        ("classify -m run -t hello", "torch", "train"),
        ("eval loss -m run --data text.txt", "torch", "train"),
        ("model info run", "torch", "train"),
        ("sweep -c sweep.toml", "torch", "train"),
        ("ladder --data shards", "torch", "train"),
        ("demo", "torch", "train"),
        ("report run", "matplotlib", "pages"),
        ("tokenizer audit -t gpt2 -o audit.html", "matplotlib", "pages"),
        (
            "tokenizer train text.txt --vocab-size 300 -o t.json --report r.html --held-out text.txt",
            "matplotlib",
            "pages",
        ),
    ],
)
def test_a_command_that_needs_more_names_the_extra_before_it_works(line, package, extra, folder):
    before = sorted(folder.rglob("*"))
    done = command(folder, *line.split())
    assert done.returncode == 1
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"bytemill: this command needs {package}: pip install 'bytemill[{extra}]'")
    assert ("--index-url" in said) == (package == "torch")
    assert done.stdout == ""
    assert sorted(folder.rglob("*")) == before


def test_the_loader_of_tensors_names_the_extra(folder):
    done = light("from bytemill.data import TokenLoader", folder)
    assert "ModuleNotFoundError: TokenLoader needs torch: pip install 'bytemill[train]'" in done.stderr


def test_a_missing_package_of_no_extra_is_no_question_of_extras():
    assert needing("this", ModuleNotFoundError(name="antigravity")) is None
    assert needing("this", ModuleNotFoundError(name="torch.nn")) is not None


def test_the_base_depends_on_nothing_heavy():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    names = {one.split(">")[0] for one in project["dependencies"]}
    assert names == {"numpy", "pydantic", "typer", "rich", "httpx"}
    assert {"train", "pages", "hf"} <= project["optional-dependencies"].keys()
