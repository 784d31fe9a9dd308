"""What once went wrong on the command line; each test is named after what broke."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.model import GPT2, GPT2Config, save_model

SMALL = (
    *("model.n_layer=1", "model.n_head=1", "model.n_embd=8", "model.n_positions=1024"),
    *("data.seq_len=16", "data.batch_size=2"),
    *("train.max_steps=2", "train.warmup_steps=1", "train.threads=1", "train.tensorboard=false"),
)


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def run(capfd, monkeypatch):
    """Runs `bytemill ARGUMENTS…` in this process."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        return Outcome(stopped.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat and the dog sat on the log. " * 200)
    return path


@pytest.fixture
def tokenizer(tmp_path, text):
    path = tmp_path / "tokenizer.json"
    Tokenizer.train(files=text, vocab_size=280).save(path)
    return path


@pytest.fixture
def other_tokenizer(tmp_path):
    """As many ids as `tokenizer`, and other ones."""
    path = tmp_path / "other.json"
    Tokenizer.train(texts=["a quick brown fox jumps over lazy dogs; " * 9], vocab_size=280).save(path)
    return path


@pytest.fixture
def shards(tmp_path, text, tokenizer, run):
    folder = tmp_path / "shards"
    assert run("data", "prepare", text, "-t", tokenizer, "-o", folder).code == 0
    return folder


@pytest.fixture
def trained(tmp_path, shards, tokenizer, run):
    folder = tmp_path / "run"
    outcome = run("train", "-o", folder, "--set", f"data.path={shards}", f"data.tokenizer={tokenizer}", *SMALL)
    assert outcome.code == 0, outcome.err
    return folder


def says_one_sentence(outcome, code, *words):
    assert outcome.code == code, outcome
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert outcome.err.startswith("bytemill: ")
    for word in words:
        assert word in outcome.err


def test_misuse_filled_a_page_with_boxes(run, tokenizer):
    says_one_sentence(run("tokenizer", "encode", "--text", "x"), 2, "--tokenizer", "bytemill tokenizer encode --help")
    says_one_sentence(run("tokenizer", "encode", "-t", tokenizer, "--nonsense"), 2, "--nonsense")
    says_one_sentence(run("nonsense"), 2, "nonsense")


@pytest.mark.parametrize(
    "option", [("--vocab-size", -5), ("--vocab-size", 10**23), ("--threads", -1), ("--min-frequency", -1)]
)
def test_numbers_that_the_core_cannot_hold_ended_in_a_traceback(run, text, tmp_path, option):
    arguments = [text, "-o", tmp_path / "t.json", "--vocab-size", 300, *option]
    says_one_sentence(run("tokenizer", "train", *arguments), 2)


def test_seed_below_zero_ended_in_a_traceback(run, text, tokenizer, tmp_path):
    says_one_sentence(run("data", "prepare", text, "-t", tokenizer, "-o", tmp_path / "s", "--seed", -1), 2, "seed")


def test_superscript_id_ended_in_a_traceback(run, tokenizer):
    says_one_sentence(run("tokenizer", "decode", "-t", tokenizer, "--ids", "7 \u00b2"), 2, "position 1")


def test_empty_file_gave_a_tokenizer(run, tmp_path):
    (tmp_path / "empty.txt").touch()
    outcome = run("tokenizer", "train", tmp_path / "empty.txt", "--vocab-size", 300, "-o", tmp_path / "t.json")
    says_one_sentence(outcome, 1, "empty.txt")
    assert not (tmp_path / "t.json").exists()


def test_folder_of_the_output_was_missed_after_the_training(run, text, tmp_path):
    output = tmp_path / "new" / "folder" / "t.json"
    assert run("tokenizer", "train", text, "--vocab-size", 270, "-o", output).code == 0
    assert Tokenizer.load(output).n_vocab == 270


def test_pattern_none_was_taken_for_a_regex_by_convert(run, tmp_path):
    Tokenizer.train(texts=["none of none"], vocab_size=258, pattern=None).save(tmp_path / "v", format="tiktoken")
    assert run("tokenizer", "convert", tmp_path / "v", tmp_path / "t.json", "--pattern", "none").code == 0
    assert Tokenizer.load(tmp_path / "t.json").pattern is None


def test_dash_was_a_file_name_for_vocabularies(run, tokenizer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = run("tokenizer", "convert", tokenizer, "-", "--format", "readable")
    assert outcome.code == 0
    assert json.loads(outcome.out)
    assert not Path("-").exists()


def test_files_beside_text_were_passed_over(run, tokenizer, text):
    says_one_sentence(run("tokenizer", "encode", "-t", tokenizer, text, "--text", "x"), 2, "--text")


def test_closed_pipe_was_an_error(tokenizer, text):
    command = [sys.executable, "-m", "bytemill", "tokenizer", "encode", "-t", str(tokenizer), str(text)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_new_model_was_larger_than_its_tokenizer_and_could_not_generate(run, trained, tokenizer):
    outcome = run("generate", "-m", trained, "-t", tokenizer, "the cat", "--max-new-tokens", 4)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("the cat")


def test_generate_printed_the_prompt_before_it_refused_an_option(run, trained, tokenizer):
    outcome = run("generate", "-m", trained, "-t", tokenizer, "the cat", "--top-p", 0)
    says_one_sentence(outcome, 2, "top_p")
    assert outcome.out == ""


def test_tokenizer_of_other_shards_was_trained_with(run, shards, other_tokenizer, tmp_path):
    settings = [f"data.path={shards}", f"data.tokenizer={other_tokenizer}", *SMALL]
    outcome = run("train", "-o", tmp_path / "run", "--set", *settings)
    says_one_sentence(outcome, 1, "shards", "another tokenizer")
    assert not (tmp_path / "run").exists()


def test_tokenizer_of_another_model_gave_garbage(run, trained, shards, other_tokenizer):
    says_one_sentence(run("generate", "-m", trained, "-t", other_tokenizer, "x"), 1, "another tokenizer")
    says_one_sentence(run("eval", "loss", "-m", trained, "-d", shards, "-t", other_tokenizer), 1, "another tokenizer")


def test_a_diverged_model_gave_what_is_no_json(run, tmp_path, shards, tokenizer, text):
    model = GPT2(GPT2Config(vocab_size=280, n_positions=16, n_layer=1, n_head=1, n_embd=8))
    torch.nn.init.constant_(model.final_norm.bias, math.nan)
    save_model(model, tmp_path / "diverged")
    given = ("-m", tmp_path / "diverged", "-t", tokenizer, "--json")
    loss = run("eval", "loss", *given, "-d", shards)
    assert json.loads(loss.out, parse_constant=pytest.fail)["loss"] is None
    matrix = run("eval", "matrix", *given, "-d", text, "--max-tokens", 16)
    assert json.loads(matrix.out, parse_constant=pytest.fail)["losses"] == {"diverged": [None]}


def test_train_took_a_run_of_another_task_for_its_own(run, shards, tmp_path):
    outcome = run("train", "-o", tmp_path / "run", "--set", "task=instruct", f"data.path={shards}", *SMALL)
    says_one_sentence(outcome, 2, "bytemill finetune instruct")


def test_run_that_is_not_there_was_an_unreadable_file(run, tmp_path):
    says_one_sentence(run("train", "-o", tmp_path / "none", "--resume"), 2, "contains no run to resume")


def test_metrics_that_are_no_objects_ended_in_a_traceback(run, trained):
    (trained / "metrics.jsonl").write_text("[1]\n")
    outcome = run("train", "-o", trained, "--resume", "train.max_steps=3")
    assert outcome.code == 1
    assert "metrics.jsonl, line 1" in outcome.err
    assert "Traceback" not in outcome.err


def test_few_rows_left_none_for_validation(run, trained, tokenizer, tmp_path):
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps([{"instruction": "say", "output": "cat"}, {"instruction": "tell", "output": "dog"}]))
    settings = ["data.seq_len=1024", "train.max_steps=1", "train.threads=1", "train.tensorboard=false"]
    arguments = ["--model", trained, "--data", rows, "-t", tokenizer, "-o", tmp_path / "tuned"]
    outcome = run("finetune", "instruct", *arguments, "--set", *settings)
    assert outcome.code == 0, outcome.err


def test_no_samples_ended_in_a_traceback(run, trained, tokenizer):
    says_one_sentence(run("generate", "-m", trained, "-t", tokenizer, "--samples", 0), 2, "--samples")


def test_ids_take_the_place_of_nothing_but_files(run, text, tmp_path):
    """By root `--out /dev/stdout` put a file where the device was."""
    Tokenizer.train(files=text, vocab_size=260).save(tmp_path / "t.json")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "target").write_text("")
    os.mkfifo(tmp_path / "pipe")
    encode = ("tokenizer", "encode", "-t", tmp_path / "t.json")
    for source in (("--text", "cat"), (text,)):
        assert run(*encode, *source, "--out", tmp_path / "link").code == 0
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "target").stat().st_size > 0
        reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        assert run(*encode, *source, "--out", tmp_path / "pipe").code == 0
        assert os.read(reader, 1 << 16) == (tmp_path / "target").read_bytes()
        os.close(reader)
        assert (tmp_path / "pipe").is_fifo()
        assert run(*encode, *source, "--out", "/dev/null").code == 0
        assert not Path("/dev/null").is_file()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "socket"))
        refused = run(*encode, *source, "--out", tmp_path / "socket")
        assert refused.code
        assert "expected a file or nothing" in refused.err
        assert (tmp_path / "socket").is_socket()
        (tmp_path / "socket").unlink()


def test_a_way_of_splitting_that_is_none_was_passed_over(text, tokenizer):
    command = [sys.executable, "-m", "bytemill", "tokenizer", "encode", "-t", tokenizer, text]
    for way, code in (("sse2", 2), ("", 0), ("scalar", 0), ("AVX2", 0), ("neon", 0)):
        environment = {**os.environ, "BYTEMILL_SIMD": way}
        outcome = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert outcome.returncode == code, outcome.stderr
        assert code == 0 or 'BYTEMILL_SIMD is "sse2", expected avx512, avx2, neon, scalar or nothing' in outcome.stderr
