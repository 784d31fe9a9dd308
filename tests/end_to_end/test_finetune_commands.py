"""`finetune`, `classify`, `data inspect --task` and `model export --adapter` as a person types them."""

import json

import pytest
import torch
from typer.testing import CliRunner

from bytemill import Tokenizer
from bytemill.cli import app
from bytemill.errors import ArgumentError, DataError
from bytemill.model import load_model, load_pretrained
from bytemill.train.run.metrics import read_json_lines

TEXT = "the cat sat on the mat. the dog ate the cat's hat. " * 40
SMALL = [
    "data.batch_size=4",
    "data.seq_len=160",
    "train.epochs=1",
    "train.learning_rate=0.01",
    "train.warmup_steps=2",
    "train.precision=fp32",
    "train.device=cpu",
    "train.tensorboard=false",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from bytemill.model import GPT2, GPT2Config

    folder = tmp_path_factory.mktemp("commands")
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    tokenizer.save(folder / "tokenizer.json")
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 256}
    GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, **shape)).save_huggingface(folder / "base")
    (folder / "texts.csv").write_text("review\n" + "the cat sat\n" * 30 + '""\n')
    turns = [{"from": "human", "value": "say cat"}, {"from": "gpt", "value": "the cat sat"}]
    (folder / "chat.json").write_text(json.dumps([{"conversations": turns * 2}] * 30))
    (folder / "spam").write_text("ham\tthe cat sat\nspam\tate the hat\n" * 30)
    return folder


def call(*words: object) -> object:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def tune(folder, task, data, output, *more):
    where = ["--model", folder / "base", "-t", folder / "tokenizer.json", "--data", folder / data, "-o", output]
    return call("finetune", task, *where, *more, "--set", *SMALL)


def test_text_by_the_name_of_its_column(folder, tmp_path) -> None:
    result = tune(folder, "lm", "texts.csv", tmp_path / "run", "--set", "data.text_column=review")
    assert "training: 25 of 26 rows used" in result.stderr or "training: 26 of 26 rows used" in result.stderr
    assert result.stdout.strip() == str(tmp_path / "run")
    losses = [line["val_loss"] for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "val_loss" in line]
    assert losses[-1] < losses[0]
    with pytest.raises(DataError, match="no row has a column 'text'; there are review"):
        tune(folder, "lm", "texts.csv", tmp_path / "other")


def test_conversations_and_their_adapter_for_peft(folder, tmp_path) -> None:
    tune(folder, "chat", "chat.json", tmp_path / "run", "--lora-rank", 2)
    call("model", "export", tmp_path / "run", tmp_path / "adapter", "--adapter", "--base", "mine")
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert settings["r"] == 2
    assert settings["base_model_name_or_path"] == "mine"
    call("model", "merge", tmp_path / "run", tmp_path / "merged")
    call("model", "merge", folder / "base", tmp_path / "joined", "--adapter", tmp_path / "adapter")
    merged, joined, base = (load_model(tmp_path / "merged"), load_model(tmp_path / "joined"), folder / "base")
    weight = merged.blocks[0].attention.qkv.weight
    assert torch.allclose(weight, joined.blocks[0].attention.qkv.weight, atol=1e-6)
    assert not torch.allclose(weight, load_pretrained(base).blocks[0].attention.qkv.weight, atol=1e-4)


def test_spam_by_its_last_block_and_one_text_at_a_time(folder, tmp_path) -> None:
    result = tune(folder, "classify", "spam", tmp_path / "run", "--set", "train.epochs=4")
    assert "test accuracy: 1.0000" in result.stdout
    assert json.loads((tmp_path / "run" / "test.json").read_text())["test_accuracy"] == 1
    where = ["classify", "-m", tmp_path / "run", "-t", folder / "tokenizer.json"]
    assert call(*where, "ate the hat").stdout.startswith("spam\t")
    lines = CliRunner().invoke(app, [*map(str, where), "--json"], input="the cat sat\nate the hat\n").stdout
    assert [json.loads(line)["label"] for line in lines.splitlines()] == ["ham", "spam"]


def test_a_classifier_is_measured_on_other_labelled_rows(folder, tmp_path) -> None:
    result = tune(
        folder, "classify", "spam", tmp_path / "run", "--set", "train.epochs=4", 'classify.names.ham="not spam"'
    )
    figures = json.loads((tmp_path / "run" / "test.json").read_text())
    assert figures["train_accuracy"] == 1
    assert 0 <= figures["train_accuracy_before"] <= 1
    before = f"{figures['train_accuracy_before']:.4f}"
    assert f"training accuracy: {before} before, 1.0000 after, 42 rows" in result.stdout
    (tmp_path / "labelled.csv").write_text("label;text\nham;the cat sat\nspam;ate the hat\nham;ate the hat\neggs;x\n")
    where = ["eval", "classify", tmp_path / "run", "--data", tmp_path / "labelled.csv"]
    result = call(*where, "--json", "--worst", 1, "--page", tmp_path / "page.html")
    found = json.loads(result.stdout)
    assert [found[name] for name in ("n_rows", "accuracy", "confusion")] == [3, pytest.approx(2 / 3), [[1, 1], [0, 1]]]
    assert [one["label"] for one in found["classes"]] == ["not spam", "spam"]
    assert [found["worst"][0][name] for name in ("row", "label", "given", "text")] == [
        3, "not spam", "spam", "ate the hat"
    ]  # fmt: skip
    assert "1 with the label 'eggs', never seen in training" in result.stderr
    assert "Confusion matrix" in (tmp_path / "page.html").read_text()
    shown = call("eval", "classify", "-m", tmp_path / "run", "--data", tmp_path / "labelled.csv").stdout
    assert "accuracy: 0.6667, macro F1 0.6667" in shown
    assert "not spam as spam  ate the hat" in shown
    (tmp_path / "other.csv").write_text("kind,words\nspam,ate the hat\n")
    columns = ["--text-column", "words", "--label-column", "kind"]
    other = ["eval", "classify", tmp_path / "run", "--data", tmp_path / "other.csv", "--json"]
    assert json.loads(call(*other, *columns).stdout)["accuracy"] == 1
    with pytest.raises(DataError, match="no row has a column 'text'; there are kind, words"):
        call(*other)
    with pytest.raises(DataError, match="base: not a run of `bytemill finetune classify`"):
        call("eval", "classify", folder / "base", "--data", tmp_path / "other.csv")


def test_the_rows_that_a_run_takes_are_shown(folder, tmp_path) -> None:
    (tmp_path / "book.txt").write_text(TEXT)
    where = ["-t", folder / "tokenizer.json", "-n", 1, "--set"]
    result = call("data", "inspect", tmp_path / "book.txt", "--task", "lm", *where, "data.seq_len=20")
    assert "longer than 20 tokens became" in result.stderr
    assert "21 tokens, 20 trained" in result.stdout
    texts = ["data", "inspect", folder / "texts.csv", "--task", "lm", *where, "data.text_column=review"]
    assert call(*texts, "--set", "data.train_rows=2").stderr.startswith("2 of 2 rows used")
    spam = ["data", "inspect", folder / "spam", "--task", "classify", *where, "classify.names.ham=not spam"]
    assert "the class 'not spam' is read" in call(*spam).stdout


def test_a_run_with_a_test_file_is_tested(folder, tmp_path) -> None:
    more = ["--set", "data.text_column=review", f"data.test={folder / 'texts.csv'}"]
    result = tune(folder, "lm", "texts.csv", tmp_path / "run", *more)
    figures = json.loads((tmp_path / "run" / "test.json").read_text())
    assert f"test: loss {figures['test_loss']:.4f}, perplexity" in result.stderr
    assert "test: 30 of 31 rows used" in result.stderr


def test_a_book_is_tuned_on_in_windows(folder, tmp_path) -> None:
    (tmp_path / "book.txt").write_text(TEXT * 3)
    result = tune(folder, "lm", tmp_path / "book.txt", tmp_path / "run")
    assert "training: 1 of 1 rows used, 0 of them cut; 1 longer than 160 tokens became" in result.stderr
    assert "validation: 1 of 1 rows used" in result.stderr


def test_eval_loss_on_a_file_names_the_command_to_use(folder) -> None:
    with pytest.raises(
        DataError, match=r"texts\.csv: is a file, expected a folder of token shards.* `bytemill eval matrix"
    ):
        call("eval", "loss", "-m", folder / "base", "-d", folder / "texts.csv")


@pytest.mark.parametrize(
    ("task", "data", "shown"),
    [
        ("lm", "texts.csv", "<|endoftext|>⟦the cat sat<|endoftext|>⟧"),
        ("chat", "chat.json", "### Response:\n⟦the cat sat<|endoftext|>⟧\n\n### Instruction:\nsay cat"),
        ("classify", "spam", "the cat sat⟦<|endoftext|>⟧"),
    ],
)
def test_rows_are_shown_with_their_masks(folder, task, data, shown) -> None:
    where = ["data", "inspect", folder / data, "-t", folder / "tokenizer.json", "--task", task, "--tokens", 500]
    settings = ["--set", "data.text_column=review"] if task == "lm" else []
    result = call(*where, "-n", 1, "--set", "data.seq_len=400", *settings)
    assert shown in result.stdout
    assert "rows used" in result.stderr
    with pytest.raises(ArgumentError, match="first is 900, expected 0 to"):
        call(*where, "--first", 900, "--set", "data.seq_len=400", *settings)
    with pytest.raises(ArgumentError, match="task is 'pretrain', expected one of lm"):
        call(*where[:-3], "pretrain")
