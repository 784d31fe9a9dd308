"""Bad input to training, through Python and through the command line: what it says, and what it makes of it."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.errors import ArgumentError, FormatError


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def learn(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs `bytemill tokenizer train ARGUMENTS…` in this process."""

    def call(*arguments: object) -> Outcome:
        output = ["--output", str(tmp_path / "learnt.json")]
        monkeypatch.setattr("sys.argv", ["bytemill", "tokenizer", "train", *map(str, arguments), *output])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        code = stopped.value.code
        return Outcome(code if isinstance(code, int) else 0, *capfd.readouterr())

    return call


def test_empty_text(learn: Run, tmp_path: Path) -> None:
    tokenizer = Tokenizer.train(texts=["", ""], vocab_size=300)
    assert (tokenizer.merges, tokenizer.n_vocab) == ([], 257)
    path = tmp_path / "empty.txt"
    path.touch()
    outcome = learn(path, "--vocab-size", 300)
    assert outcome.code == 1
    assert "empty.txt: the text has no two bytes to merge; give more text" in outcome.err


def test_a_vocabulary_larger_than_the_text_allows(learn: Run, tmp_path: Path) -> None:
    assert Tokenizer.train(texts=["abcd"], vocab_size=10**9).n_vocab == 260
    path = tmp_path / "short.txt"
    path.write_text("abcd")
    outcome = learn(path, "--vocab-size", 10**9)
    assert outcome.code == 0
    assert "The text gives no more than 260 ids; 1,000,000,000 were asked for." in outcome.err
    assert Tokenizer.load(tmp_path / "learnt.json").n_vocab == 260


def test_a_file_that_is_not_there(learn: Run, tmp_path: Path) -> None:
    path = tmp_path / "missing.txt"
    with pytest.raises(FileNotFoundError, match=r"missing\.txt"):
        Tokenizer.train(files=path, vocab_size=300)
    outcome = learn(path, "--vocab-size", 300)
    assert outcome.code == 1
    assert "missing.txt" in outcome.err


def test_half_a_compressed_file(learn: Run, tmp_path: Path) -> None:
    path = tmp_path / "half.txt.gz"
    packed = gzip.compress(bytes(range(256)) * 5_000)
    path.write_bytes(packed[: len(packed) // 2])
    told = rf"half\.txt\.gz: ends at byte {len(packed) // 2} in the middle of its compressed content"
    with pytest.raises(FormatError, match=told):
        Tokenizer.train(files=path, vocab_size=300)
    outcome = learn(path, "--vocab-size", 300)
    assert outcome.code == 1
    assert f"ends at byte {len(packed) // 2} in the middle" in outcome.err


@pytest.mark.parametrize("pattern", [None, "gpt2", r"\w+|[^\w]"])
def test_bytes_that_are_not_utf8(pattern: str | None, learn: Run, tmp_path: Path) -> None:
    text = b"caf\xe9 caf\xe9 \xff\xfe\xff\xfe caf\xc3\xa9 " * 20
    tokenizer = Tokenizer.train(texts=[text], vocab_size=270, pattern=pattern)
    assert tokenizer.merges
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(text)) == text
    path = tmp_path / "latin.txt"
    path.write_bytes(text)
    assert learn(path, "--vocab-size", 270, "--pattern", pattern or "none").code == 0
    assert Tokenizer.load(tmp_path / "learnt.json").merges == tokenizer.merges


def test_a_pattern_that_does_not_compile(learn: Run, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"pattern \"\(unclosed\""):
        Tokenizer.train(texts=["a text"], vocab_size=300, pattern="(unclosed")
    path = tmp_path / "text.txt"
    path.write_text("a text")
    outcome = learn(path, "--vocab-size", 300, "--pattern", "(unclosed")
    assert outcome.code == 2
    assert 'pattern "(unclosed"' in outcome.err


def test_a_pattern_that_matches_nothing(learn: Run, tmp_path: Path) -> None:
    text = "no digits here, no digits there"
    unmatched = Tokenizer.train(texts=[text], vocab_size=280, pattern=r"\d+")
    assert unmatched.merges  # what no match covers is text too: it is kept, as one pretoken
    assert unmatched.decode(unmatched.encode(text)) == text
    path = tmp_path / "text.txt"
    path.write_text(text)
    assert learn(path, "--vocab-size", 280, "--pattern", r"\d+").code == 0
    assert Tokenizer.load(tmp_path / "learnt.json").merges == unmatched.merges


@pytest.mark.parametrize("letter", [" ", "a"])
def test_a_megabyte_of_one_letter(letter: str, learn: Run, tmp_path: Path) -> None:
    text = letter * (1 << 20)
    assert Tokenizer.train(texts=[text], vocab_size=1_000).merges[0] == (letter.encode(), letter.encode())
    path = tmp_path / "letters.txt"
    path.write_text(text)
    outcome = learn(path, "--vocab-size", 1_000)
    assert outcome.code == 0
    assert "The text gives no more than" in outcome.err


def test_a_damaged_file_of_counts(learn: Run, tmp_path: Path) -> None:
    path = tmp_path / "counts"
    Tokenizer.train(texts=["low lower lowest"], vocab_size=300, save_counts=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:])
    with pytest.raises(FormatError, match="is damaged: its checksum is"):
        Tokenizer.train(counts=path, vocab_size=300)
    outcome = learn("--counts", path, "--vocab-size", 300)
    assert outcome.code == 1
    assert "is damaged" in outcome.err
    path.write_bytes(whole)
    with pytest.raises(FormatError, match=r'holds counts of pattern .* expected no pattern and feed "documents"'):
        Tokenizer.train(counts=path, vocab_size=300, pattern=None)


def test_options_that_exclude_each_other(learn: Run, tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("low lower lowest")
    assert "give either files to train on, or --counts" in learn("--vocab-size", 300).err
    assert "--report needs --held-out" in learn(path, "--vocab-size", 300, "--report", tmp_path / "r.html").err
    outcome = learn(path, "--vocab-size", 300, "--held-out", path, "--report", tmp_path / "r.pdf")
    assert outcome.code == 2
    assert "expected a name that ends in .html, .md or .json" in outcome.err
    for size in (256, 300):
        outcome = learn(path, "--vocab-size", 300, "--also-save", size)
        assert outcome.code == 2
        assert "expected sizes of at least 257 (bytes and special tokens) below --vocab-size, 300" in outcome.err
