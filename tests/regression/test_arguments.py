"""What once went wrong with arguments from Python; each test is named after what broke."""

import threading

import pytest
import torch

from bytemill import Tokenizer
from bytemill.data import TokenLoader, prepare
from bytemill.errors import ArgumentError


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "a.txt").write_text("to be or not to be, that is the question. " * 200)
    tokenizer = Tokenizer.train(files=tmp_path / "a.txt", vocab_size=270)
    prepare(tmp_path / "a.txt", tmp_path / "shards", tokenizer=tokenizer)
    return tmp_path / "shards"


@pytest.mark.parametrize("texts", ["hello hello", b"hello hello"])
def test_one_text_was_taken_for_many_of_one_character(texts):
    with pytest.raises(ArgumentError, match="texts is a single"):
        Tokenizer.train(texts=texts, vocab_size=300)


@pytest.mark.parametrize("special_tokens", ["<a>", ["<a>", "<a>"], [""]])
def test_special_tokens_were_refused_only_after_the_training(special_tokens):
    with pytest.raises(ArgumentError, match="special_tokens"):
        Tokenizer.train(texts=["x"], vocab_size=300, special_tokens=special_tokens)


@pytest.mark.parametrize("name", ["seed", "rank", "prefetch_batches", "batch_size"])
def test_negative_numbers_were_not_named(shards, name):
    with pytest.raises(ArgumentError, match=f"{name} is -1"):
        TokenLoader(shards, **({"batch_size": 2, "seq_len": 8} | {name: -1}))


def test_any_dtype_was_taken(shards):
    assert next(TokenLoader(shards, batch_size=2, seq_len=8, dtype=torch.int32))[0].dtype == torch.int32
    with pytest.raises(ArgumentError, match="float32"):
        TokenLoader(shards, batch_size=2, seq_len=8, dtype=torch.float32)


def test_threads_could_not_share_a_loader(shards):
    loader = TokenLoader(shards, batch_size=2, seq_len=8)
    seen: list[bytes] = []

    def pull() -> None:
        seen.extend(next(loader)[0].numpy().tobytes() for _ in range(20))

    threads = [threading.Thread(target=pull) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = TokenLoader(shards, batch_size=2, seq_len=8)
    assert sorted(seen) == sorted(next(alone)[0].numpy().tobytes() for _ in range(160))


def test_saving_into_a_missing_folder_is_a_missing_file(tmp_path):
    tokenizer = Tokenizer.train(texts=["a b"], vocab_size=257)
    with pytest.raises(FileNotFoundError) as raised:
        tokenizer.save(tmp_path / "missing" / "tokenizer.json")
    assert "tokenizer.json" in str(raised.value)
    assert ".bytemill-" not in str(raised.value)


def test_a_missing_file_is_named_as_text(tmp_path):
    with pytest.raises(FileNotFoundError) as raised:
        Tokenizer.load(tmp_path / "missing.json")
    assert raised.value.filename == str(tmp_path / "missing.json")
