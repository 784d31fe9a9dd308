"""What is too large, or is not a regular file, is refused in one sentence before memory or time is spent on it."""

import json
import os
import struct
import time

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from bytemill import Tokenizer
from bytemill.cli import console
from bytemill.cli.tokenizer import ids
from bytemill.data import prepare
from bytemill.data.manifest import MAX_VOCAB, read_manifest
from bytemill.data.rows import read_rows
from bytemill.data.statistics import folder_statistics
from bytemill.errors import BytemillError, ConfigError, DataError, FormatError
from bytemill.evaluate.hellaswag import read_hellaswag
from bytemill.model import GPT2, GPT2Config, load_pretrained, save_model, weight_files
from bytemill.model import config as limits
from bytemill.model.weight_files import read_tensors
from bytemill.train.config import MAX_SETTINGS_BYTES, load_config

TINY = {"vocab_size": 9, "n_positions": 8, "n_embd": 4, "n_layer": 1, "n_head": 1}


@pytest.mark.parametrize(
    ("field", "most"),
    [
        ("n_layer", limits.MAX_LAYERS),
        ("n_embd", limits.MAX_WIDTH),
        ("vocab_size", limits.MAX_VOCAB),
        ("n_positions", limits.MAX_POSITIONS),
    ],
)
def test_a_size_up_to_its_limit_is_a_shape_and_one_more_is_not(field, most):
    assert getattr(GPT2Config(**{**TINY, field: most}), field) == most
    for value in (most + 1, 10**9, 10**15):
        with pytest.raises(ConfigError, match=f"{field}: .* less than or equal to {most}, got {value}"):
            GPT2Config(**{**TINY, field: value})


def test_the_count_of_parameters_is_the_models():
    for changed in ({}, {"qkv_bias": False}, {"n_inner": 7, "n_layer": 3, "vocab_size": 100}):
        config = GPT2Config(**{**TINY, **changed})
        assert config.n_parameters() == sum(one.numel() for one in GPT2(config).parameters())


def test_a_model_larger_than_the_machine_is_refused_before_it_is_made():
    config = GPT2Config(n_layer=1000, n_embd=1 << 17, n_head=1, vocab_size=9)
    began = time.monotonic()
    with pytest.raises(ConfigError, match=r"a model of [\d,]+ parameters .* takes [\d,.]+ GiB, this machine has"):
        GPT2(config)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("field", ["n_layer", "n_embd", "vocab_size"])
@pytest.mark.parametrize("value", [900, 10**9, 10**15])
def test_a_models_absurd_config_is_one_sentence(tmp_path, field, value):
    model = GPT2(GPT2Config(**TINY))
    save_model(model, tmp_path / "own")
    model.save_huggingface(tmp_path / "theirs")
    for folder in (tmp_path / "own", tmp_path / "theirs"):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
        with pytest.raises(BytemillError, match=r"config\.json|less than or equal"):
            load_pretrained(folder)


@pytest.mark.parametrize("name", ["num_hidden_layers", "hidden_size", "vocab_size", "intermediate_size"])
def test_another_architectures_absurd_config_is_one_sentence(tmp_path, name):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "text_config": {name: 10**9}}))
    with pytest.raises(ConfigError, match=f"{name} is 1000000000, expected at most"):
        load_pretrained(tmp_path)


def write_empty_tensors(path, n_tensors):
    header = {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(n_tensors)}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def test_half_a_million_empty_tensors_are_refused_at_once(tmp_path):
    write_empty_tensors(tmp_path / "model.safetensors", 500_000)
    began = time.monotonic()
    with pytest.raises(FormatError, match="holds 500,000 tensors, expected at most 100,000"):
        read_tensors(tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(FormatError, match="holds 500,000 tensors"):
        load_pretrained(tmp_path)
    assert time.monotonic() - began < 30


def test_tensors_up_to_the_limit_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(weight_files, "MAX_TENSORS", 5)
    write_empty_tensors(tmp_path / "five", 5)
    assert len(read_tensors(tmp_path / "five")) == 5
    write_empty_tensors(tmp_path / "six", 6)
    with pytest.raises(FormatError, match="holds 6 tensors, expected at most 5"):
        read_tensors(tmp_path / "six")
    (tmp_path / "header").write_bytes(struct.pack("<Q", 1 << 60))
    with pytest.raises(
        FormatError, match=r"its header has 1,152,921,504,606,846,976 bytes, expected at most 67,108,864"
    ):
        read_tensors(tmp_path / "header")
    save_file({"a": torch.ones(3)}, tmp_path / "good")
    assert read_tensors(tmp_path / "good")["a"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("n_vocab", [1 << 31, MAX_VOCAB + 1, 0, -1])
def test_a_manifest_of_too_many_ids_is_refused(tmp_path, n_vocab):
    (tmp_path / "a.txt").write_text("to be or not to be " * 50)
    tokenizer = Tokenizer.train(files=[tmp_path / "a.txt"], vocab_size=270)
    prepare(tmp_path / "a.txt", tmp_path / "shards", tokenizer=tokenizer, val=0.1)
    path = tmp_path / "shards" / "manifest.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"n_vocab": n_vocab}))
    with pytest.raises(FormatError, match=f"n_vocab is {n_vocab}, expected 1 to 16777216"):
        folder_statistics(tmp_path / "shards")
    path.write_text(json.dumps(fields | {"n_vocab": MAX_VOCAB}))
    assert read_manifest(tmp_path / "shards").n_vocab == MAX_VOCAB


READERS = {
    "rows.json": read_rows,
    "rows.jsonl": read_rows,
    "rows.csv": read_rows,
    "rows.tsv": read_rows,
    "rows.txt": read_rows,
    "rows.parquet": read_rows,
    "settings.toml": load_config,
    "hellaswag.jsonl": read_hellaswag,
    "ids.npy": lambda path: ids._binary(path, 300),
    "ids.bin": lambda path: ids._binary(path, 300),
    "text": console.read_text,
    "model.safetensors": read_tensors,
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_without_a_writer_and_a_device_are_refused_and_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises((BytemillError, OSError)) as raised:
        READERS[name](tmp_path / name)
    assert name in str(raised.value)
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises((BytemillError, OSError)) as raised:
        READERS[name](tmp_path / name)
    assert name in str(raised.value)


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("rows.parquet", "model.safetensors")])
def test_a_sparse_file_of_64_gib_is_refused_before_it_is_read(tmp_path, name):
    with (tmp_path / name).open("wb") as file:
        file.truncate(64 << 30)
    with pytest.raises(BytemillError, match=r"larger than [\d,]+ bytes"):
        READERS[name](tmp_path / name)


def test_settings_up_to_the_limit_are_read(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("#" * (MAX_SETTINGS_BYTES - 1) + "\n")
    assert load_config(path).task == "pretrain"
    path.write_text("#" * MAX_SETTINGS_BYTES + "\n")
    with pytest.raises(ConfigError, match="larger than 1,048,576 bytes"):
        load_config(path)


def test_stdin_is_read_up_to_the_limit(monkeypatch):
    import io
    import sys
    from types import SimpleNamespace

    monkeypatch.setattr(console, "MAX_TEXT_BYTES", 5)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"12345")))
    assert console.read_text(console.Path("-")) == b"12345"
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"123456")))
    with pytest.raises(DataError, match="stdin: more than 5 bytes"):
        console.read_text(console.Path("-"))


def test_good_tables_read_as_before(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbftext,n\r\n"two\r\nlines",1\r\n')
    assert read_rows(tmp_path / "a.csv", ("text",)) == [{"text": "two\r\nlines", "n": "1"}]
    np.save(tmp_path / "ids.npy", np.arange(3, dtype=np.uint16))
    assert ids._binary(tmp_path / "ids.npy", 300).tolist() == [0, 1, 2]
