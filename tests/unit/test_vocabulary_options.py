"""Going on from a vocabulary, saved counts, smaller sizes, and the report of what was learned."""

import json
import sys
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.report.vocabulary import write_vocabulary_report
from bytemill.tokenizer import TrainingReport

TEXT = "the cat sat on the mat, the dog sat on the log, and the cat saw the dog; caf\u00e9s at \u5317\u5927. " * 30
OTHER = "a quick brown fox jumps over lazy dogs while other foxes sleep. " * 30


@pytest.fixture
def run(capfd, monkeypatch):
    """Runs `bytemill tokenizer train ARGUMENTS…` in this process; what it printed."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", "tokenizer", "train", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        assert not stopped.value.code, capfd.readouterr()
        return capfd.readouterr()

    return call


@pytest.mark.parametrize("ties", ["huggingface", "lowest_id", "first_seen", "largest_bytes"])
@pytest.mark.parametrize("pattern", ["gpt2", None])
def test_going_on_with_the_same_text_is_training_at_once(ties, pattern):
    options = {"texts": [TEXT], "ties": ties, "pattern": pattern, "special_tokens": ()}
    first = Tokenizer.train(vocab_size=300, **options)
    straight = Tokenizer.train(vocab_size=340, **options)
    assert Tokenizer.train(vocab_size=340, base=first, **options).fingerprint == straight.fingerprint


def test_going_on_keeps_every_id():
    base = Tokenizer.train(texts=[TEXT], vocab_size=270)
    more = Tokenizer.train(texts=[OTHER], vocab_size=300, base=base, special_tokens=["<|endoftext|>", "<|pad|>"])
    assert more.n_vocab == 300
    assert more.special_tokens == {"<|endoftext|>": 269, "<|pad|>": 299}
    assert more.merges[: len(base.merges)] == base.merges
    for token in range(270):
        assert more.decode_single_token_bytes(token) == base.decode_single_token_bytes(token)
    assert more.decode(more.encode(OTHER)) == OTHER
    assert more.count(OTHER) < base.count(OTHER)


def test_a_vocabulary_that_went_on_survives_its_file(tmp_path):
    base = Tokenizer.train(texts=[TEXT], vocab_size=300)
    more = Tokenizer.train(texts=[OTHER], vocab_size=330, base=base)
    more.save(tmp_path / "more.json")
    assert Tokenizer.load(tmp_path / "more.json").fingerprint == more.fingerprint


def test_going_on_from_foreign_ids_keeps_them():
    tiktoken = pytest.importorskip("tiktoken")
    ranks = {bytes([byte ^ 85]): byte for byte in range(256)} | {b"th": 256, b"the": 257}
    given = tiktoken.Encoding("small", pat_str=r"\S+|\s+", mergeable_ranks=ranks, special_tokens={"<end>": 300})
    more = Tokenizer.train(texts=[TEXT], vocab_size=310, base=Tokenizer.from_tiktoken(given), special_tokens=())
    assert [more.encode_single_token(token) for token in (b"t", b"the", "<end>")] == [ord("t") ^ 85, 257, 300]
    assert more.n_vocab == 310
    assert len(more.merges) == 2 + 9


def test_counts_of_an_earlier_run_train_alike(tmp_path, run):
    path = tmp_path / "counts"
    first = Tokenizer.train(texts=[TEXT, OTHER], vocab_size=300, save_counts=path)
    assert Tokenizer.train(counts=path, vocab_size=300).fingerprint == first.fingerprint
    again = Tokenizer.train(counts=path, vocab_size=280, ties="first_seen")
    assert again.fingerprint == Tokenizer.train(texts=[TEXT, OTHER], vocab_size=280, ties="first_seen").fingerprint
    run("--counts", path, "--vocab-size", 300, "-o", tmp_path / "trained.json")
    assert Tokenizer.load(tmp_path / "trained.json").fingerprint == first.fingerprint


def test_the_command_saves_smaller_sizes_and_reports(tmp_path, run):
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "held_out.txt").write_text(OTHER)
    output = tmp_path / "trained.json"
    common = (tmp_path / "text.txt", "--vocab-size", 285, "-o", output, "--held-out", tmp_path / "held_out.txt")
    printed = run(*common, "--also-save", "265,275", "--report", tmp_path / "report.html")
    names = ["trained.json", "trained.265.json", "trained.275.json", "report.html"]
    assert printed.out.splitlines() == [str(tmp_path / name) for name in names]
    assert "bytes per token" in printed.err
    for size in (265, 275):
        smaller = Tokenizer.train(texts=[TEXT], vocab_size=size)
        assert Tokenizer.load(tmp_path / f"trained.{size}.json").fingerprint == smaller.fingerprint
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "never used" in page


def test_the_report_counts_what_it_says(tmp_path):
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=285)
    report = TrainingReport.measure(tokenizer, [OTHER, TEXT[:100]], sizes=[257, 270])
    n_bytes = len(OTHER.encode()) + len(TEXT[:100].encode())
    n_tokens = tokenizer.count(OTHER) + tokenizer.count(TEXT[:100])
    assert report.growth[0] == (257, 1.0)
    assert report.growth[-1] == (285, n_bytes / n_tokens)
    used = {*tokenizer.encode(OTHER), *tokenizer.encode(TEXT[:100])}
    assert report.n_unused == len(set(range(256, 256 + len(tokenizer.merges))) - used)
    assert len(report.longest_tokens[0]) == max(len(left + right) for left, right in tokenizer.merges)
    figures = json.loads(write_vocabulary_report(report, tmp_path / "r.json").read_text())
    assert figures["bytes_per_token"] == n_bytes / n_tokens
    assert "| 270 |" in write_vocabulary_report(report, tmp_path / "r.md").read_text()


@pytest.mark.parametrize("kind", ["parquet", "arrow", "arrows", "feather"])
def test_tables_of_pyarrow_are_read(tmp_path: Path, kind: str):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    path = tmp_path / f"rows.{kind}"
    texts = [f"{TEXT[:50]} {row % 7}" for row in range(500)]
    table = pyarrow.table({"id": list(range(500)), "body": texts})
    if kind == "parquet":
        parquet.write_table(table, path, row_group_size=200)
    elif kind == "feather":
        feather.write_feather(table, str(path))
    else:
        opened = pyarrow.ipc.new_file if kind == "arrow" else pyarrow.ipc.new_stream
        with opened(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    expected = Tokenizer.train(texts=texts, vocab_size=300)
    assert Tokenizer.train(files=path, text_field="body", vocab_size=300).fingerprint == expected.fingerprint
    with pytest.raises(ValueError, match=r'no column "text"; the columns are \["id", "body"\]'):
        Tokenizer.train(files=path, vocab_size=300)
