"""Runs of the version before templates, tokenizers and bases were kept with a run still load, resume and report.

`tests/earlier_runs` holds what its commands left, in the folder where they were called:

    train -o base …; finetune chat --model base --data chat.json -o chat --lora-rank 2 --set data.chat_template=chatml …
    finetune instruct --model base --data rows.json -o instruct --lora-rank 0 --set data.template=alpaca_one_header …
"""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from bytemill.cli import app
from bytemill.tasks.base_model import load_base_model
from bytemill.tasks.model_place import find_model
from bytemill.tasks.usable_model import open_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(Path(__file__).parent.parent / "earlier_runs", tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def run(*words: object, stdin: str | None = None) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(
    ("name", "template"), [("base", "alpaca"), ("chat", "chatml_text"), ("instruct", "alpaca_one_header")]
)
def test_they_are_used_without_a_tokenizer_given(folder: Path, name: str, template: str) -> None:
    opened = open_model(name)
    assert opened.template == template
    assert opened.tokenizer.n_vocab == 272
    run("generate", "-m", name, "the", "--max-new-tokens", 3)
    run("chat", "-m", name, "--max-new-tokens", 3, stdin="Say river\n")
    run("model", "info", name)
    run("report", name, "-o", "report.html")


@pytest.mark.parametrize("name", ["chat", "instruct"])
def test_they_go_on_with_the_rows_and_weights_that_they_had(folder: Path, name: str) -> None:
    """The rows' fingerprint is compared on resume: ChatML's answers end as that version ended them."""
    before = find_model(name)
    run("finetune", name, "-o", name, "--resume", "--set", "train.max_steps=6", "train.keep_checkpoints=2")
    after = find_model(name)
    assert after.state["step"] == before.state["step"] + 2
    assert after.state["fingerprints"] == before.state["fingerprints"]
    old, new = (load_file(place.folder / "model.safetensors") for place in (before, after))
    frozen = [key for key in old if key not in new]
    assert bool(frozen) == (name == "chat")  # what is written now holds the adapter alone
    network = load_base_model(name, merge=False).state_dict()
    assert all(torch.equal(network[key], old[key]) for key in frozen)
