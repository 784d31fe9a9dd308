"""Memory stays within its limit whatever the text looks like; what cannot be cut is refused before it is read whole."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data import prepare, verify
from bytemill.errors import ArgumentError, FormatError

MIB = 1 << 20
FORM_BYTES = 64 * MIB
LIMIT = 16 * MIB
# The limit, the encoder's tables, and what the allocator holds.
MOST_ABOVE_START = 48 * MIB

WORDS = b"the quick brown fox jumps over the lazy dog"
CUT = {
    "lines": WORDS + b"\n",
    "windows_lines": WORDS + b"\r\n",
    "blank_windows_lines": WORDS + b"\r\n\r\n\r\n",
    "one_line_of_words": WORDS + b" ",
    "one_line_of_json": b'{"a":1,"text":"words","list":[1,2,3]},',
    "indented_code": b"    if x:\n        return 1  \n",
    "trailing_blanks": WORDS + b" \t \r\n",
}
UNCUT = {"one_letter": b"a", "nuls": b"\0", "blanks": b" ", "line_ends": b"\r\n", "digits": b"7"}

CHILD = """
import sys
from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.errors import BytemillError

def mebibytes(field):
    return int(next(line for line in open("/proc/self/status") if line.startswith(field)).split()[1]) * 1024

what, source, folder, vocabulary, limit = sys.argv[1:]
tokenizer = Tokenizer.load(vocabulary)
tokenizer.encode("warm up")
open("/proc/self/clear_refs", "w").write("5")
start = mebibytes("VmRSS")
try:
    if what == "prepare":
        prepare(source, folder, tokenizer=tokenizer, max_memory=int(limit))
    elif what == "train":
        Tokenizer.train(files=[source], vocab_size=300, max_memory=int(limit))
    else:
        tokenizer.encode_to_file(source, folder + ".bin", threads=1)
    said = ""
except BytemillError as error:
    said = f"{type(error).__name__}: {error}"
print(mebibytes("VmHWM") - start)
print(said)
"""


def peak_and_message(what: str, source: Path, folder: Path, vocabulary: Path) -> tuple[int, str]:
    """Bytes above the start at the highest, and the error."""
    arguments = [what, str(source), str(folder), str(vocabulary), str(LIMIT)]
    ran = subprocess.run([sys.executable, "-c", CHILD, *arguments], capture_output=True, text=True, check=True)
    peak, message = ran.stdout.splitlines()
    return int(peak), message


def write_form(path: Path, unit: bytes) -> Path:
    path.write_bytes(unit * (FORM_BYTES // len(unit)))
    return path


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the peak of memory is read from /proc")


@pytest.mark.parametrize("name", CUT)
def test_text_of_every_form_is_prepared_within_the_limit(name: str, tmp_path: Path, gpt2_folder: Path) -> None:
    source = write_form(tmp_path / "a.txt", CUT[name])
    peak, message = peak_and_message("prepare", source, tmp_path / "shards", gpt2_folder)
    assert message == ""
    assert peak < MOST_ABOVE_START


@pytest.mark.parametrize("what", ["train", "encode"])
@pytest.mark.parametrize("name", ["windows_lines", "one_line_of_json", "indented_code"])
def test_training_and_encoding_to_a_file_cut_every_form_too(
    what: str, name: str, tmp_path: Path, gpt2_folder: Path
) -> None:
    source = write_form(tmp_path / "a.txt", CUT[name])
    peak, message = peak_and_message(what, source, tmp_path / "ids", gpt2_folder)
    assert message == ""
    assert peak < 1.3 * MOST_ABOVE_START  # no limit is given: tables, and a mebibyte of text with its ids


@pytest.mark.parametrize("name", UNCUT)
@pytest.mark.parametrize("what", ["prepare", "train"])
def test_text_that_cannot_be_cut_is_refused_by_the_limit(
    what: str, name: str, tmp_path: Path, gpt2_folder: Path
) -> None:
    source = write_form(tmp_path / "a.txt", UNCUT[name])
    peak, message = peak_and_message(what, source, tmp_path / "shards", gpt2_folder)
    assert message.startswith(f"ArgumentError: max_memory is {LIMIT}, expected at least ")
    assert "a.txt" in message
    assert "without a place to split the text" in message
    assert peak < MOST_ABOVE_START


def test_packed_files_and_tables_are_prepared_within_the_limit(tmp_path: Path, gpt2_folder: Path) -> None:
    rows = json.dumps({"text": "some words of a row " * 40}).encode() + b"\n"
    texts = [f"{number} of many rows " * 40 for number in range(FORM_BYTES // 800)]
    table = pa.table({"text": texts})
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(CUT["windows_lines"] * 1_500_000, 1))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(rows * (FORM_BYTES // len(rows)), 1))
    parquet.write_table(table, tmp_path / "c.parquet")
    with pa.ipc.new_file(str(tmp_path / "d.arrow"), table.schema) as file:
        file.write_table(table, max_chunksize=1_000)
    for name in ("a.txt.gz", "b.jsonl.gz", "c.parquet", "d.arrow"):
        peak, message = peak_and_message("prepare", tmp_path / name, tmp_path / f"{name}_shards", gpt2_folder)
        assert (name, message) == (name, "")
        assert peak < MOST_ABOVE_START, name


def test_a_huge_row_of_a_packed_file_is_refused_while_it_is_unpacked(tmp_path: Path, gpt2_folder: Path) -> None:
    source = tmp_path / "a.jsonl.gz"
    source.write_bytes(gzip.compress(b'{"text": "' + b"some words " * (36 * MIB) + b'"}\n', 1))
    peak, message = peak_and_message("prepare", source, tmp_path / "shards", gpt2_folder)
    assert message.startswith(f"ArgumentError: max_memory is {LIMIT}, expected at least ")
    assert "a.jsonl.gz has a row in line 1 of 4194305 bytes or more" in message
    assert peak < MOST_ABOVE_START


def test_a_huge_row_of_a_packed_file_is_refused_without_a_limit_too(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl.gz"
    source.write_bytes(gzip.compress(b'{"text": "' + b"x" * (300 * MIB) + b'"}\n', 1))
    with pytest.raises(FormatError, match="a row in line 1 of 268435457 bytes or more"):
        Tokenizer.train(files=[source], vocab_size=300)


def test_thirty_million_empty_rows_are_refused(tmp_path: Path, gpt2: Tokenizer, gpt2_folder: Path) -> None:
    source = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": pa.array([""] * 30_000_000)}), source)
    peak, message = peak_and_message("prepare", source, tmp_path / "shards", gpt2_folder)
    assert message.startswith(f"ArgumentError: max_memory is {LIMIT}, expected at least ")
    assert peak < MOST_ABOVE_START
    with pytest.raises(FormatError, match="unpacks to more than"):
        prepare(source, tmp_path / "shards", tokenizer=gpt2)


def nasty_texts() -> list[str]:
    """A mebibyte and a half of lines, blanks, digits, contractions, ideographs and marks at random."""
    units = [
        "a",
        "Ab",
        "'s",
        "'LL",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\n\n  ",
        "1",
        "1234",
        ".",
        "!\n",
        "/",
        '{"',
        "\u4e2d",
        "\uff0c",
    ]
    units += ["\u3002\n", "\u00e9", "\u0301", "\u00a0", "\u3000", "\u0085", "\0", "\U0001f600", " the", "word"]
    random = np.random.default_rng(0)
    some = ["".join(units[i] for i in random.integers(len(units), size=700_000)) for _ in range(2)]
    return [*some, "".join(some[0].split()), some[1].replace("\n", "\r\n")]


@pytest.mark.parametrize("pattern", ["gpt2", "cl100k", "o200k"])
def test_pieces_of_a_text_have_the_ids_of_the_whole(pattern: str, tmp_path: Path) -> None:
    texts = nasty_texts()
    tokenizer = Tokenizer.train(texts=texts, vocab_size=2_000, pattern=pattern)
    for number, text in enumerate(texts):
        source = tmp_path / f"{number}.txt"
        source.write_bytes(text.encode())
        expected = tokenizer.encode_to_numpy(text)
        assert tokenizer.encode_to_file(source, tmp_path / "ids.npy", threads=2) == len(expected)
        assert np.array_equal(np.load(tmp_path / "ids.npy"), expected)
        prepare(source, tmp_path / f"{number}", tokenizer=tokenizer, val=0, max_memory=3 * MIB, threads=1)
        ids = np.fromfile(tmp_path / f"{number}" / "train_000000.bin", dtype=np.uint16, offset=1024)
        assert np.array_equal(ids[1:], expected)


def test_a_separator_cuts_documents_and_specials_stay_whole(tmp_path: Path, gpt2: Tokenizer) -> None:
    text = "".join(f"{number} words<|endoftext|> and more.\r\n" for number in range(60_000))
    source = tmp_path / "a.txt"
    source.write_bytes(text.encode())
    n_ids = gpt2.encode_to_file(source, tmp_path / "ids.npy", allowed_special="all")
    assert np.load(tmp_path / "ids.npy").tolist() == gpt2.encode(text, allowed_special="all")
    assert n_ids == len(gpt2.encode(text, allowed_special="all"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `bytemill ARGUMENTS…` in this process: exit code, stdout, and stderr as one line."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        out, err = capfd.readouterr()
        return int(stopped.value.code or 0), out, " ".join(err.split())

    return call


@pytest.fixture
def prepared(tmp_path: Path, gpt2: Tokenizer) -> tuple[Path, Path, Path]:
    """A source, its shards and their tokenizer."""
    source, shards, vocabulary = tmp_path / "rows.jsonl", tmp_path / "shards", tmp_path / "tokenizer.json"
    source.write_text("".join(json.dumps({"text": f"row {row}\n" * row}) + "\n" for row in range(40)))
    prepare(source, shards, tokenizer=gpt2, val=0.1, check=True)
    gpt2.save(vocabulary)
    return source, shards, vocabulary


def test_shards_are_compared_with_their_text(prepared: tuple[Path, Path, Path], gpt2: Tokenizer, run: Run) -> None:
    source, shards, vocabulary = prepared
    verify(shards, against=source, tokenizer=gpt2)
    compare = ("data", "verify", shards, "--against", source, "-t", vocabulary)
    assert run(*compare)[:2] == (0, f"{shards}: good, and its tokens are those of the text\n")
    source.write_text(source.read_text().replace("row 7", "row 8", 1))
    code, _, said = run(*compare)
    assert code == 2
    assert "against is rows.jsonl with " in said


def test_comparing_needs_sources_and_the_tokenizer_of_the_shards(
    prepared: tuple[Path, Path, Path], gpt2: Tokenizer, run: Run
) -> None:
    source, shards, vocabulary = prepared
    other = Tokenizer.train(files=[source], vocab_size=300)
    with pytest.raises(ArgumentError, match=r"tokenizer is .* expected the one of the shards"):
        verify(shards, against=source, tokenizer=other)
    with pytest.raises(ArgumentError, match="tokenizer is None, expected a value, since against is given"):
        verify(shards, against=source)
    with pytest.raises(ArgumentError, match="against is None, expected a value, since tokenizer is given"):
        verify(shards, tokenizer=gpt2)
    code, _, said = run("data", "verify", shards, "--against", source)
    assert code == 2
    assert "--against needs --tokenizer" in said
    code, _, said = run("data", "verify", shards, shards, "--against", source, "-t", vocabulary)
    assert code == 2
    assert "--against compares one folder" in said


def test_pipes_and_devices_are_refused_and_nothing_hangs(tmp_path: Path, gpt2_folder: Path, run: Run) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said_of = {
        pipe: "is a pipe, expected a regular file: send its text to stdin and give -",
        Path("/dev/zero"): "is a device, expected a regular file",
    }
    for source, reason in said_of.items():
        for command in (
            ("data", "prepare", source, "-t", gpt2_folder, "-o", tmp_path / "shards"),
            ("tokenizer", "train", source, "--vocab-size", "300", "-o", tmp_path / "t.json"),
            ("data", "prepare", __file__, "-t", source, "-o", tmp_path / "shards"),
        ):
            code, _, said = run(*command)
            assert code == 1
            assert reason in said


def test_a_sparse_tokenizer_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    with path.open("wb") as file:
        file.truncate(64 << 30)
    with pytest.raises(FormatError, match="has more than 67108864 bytes"):
        Tokenizer.load(path)


def test_progress_is_not_reported_for_each_row(
    tmp_path: Path, gpt2: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bytemill.data import prepare as module_function

    calls = []
    source = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": [f"row {row}" for row in range(50_000)]}), source)
    module = sys.modules[module_function.__module__]
    monkeypatch.setattr(module._PrepareProgress, "update", lambda _, *at: calls.append(at))
    prepare(source, tmp_path / "shards", tokenizer=gpt2, progress=True)
    assert {phase for phase, *_ in calls} == {"scanning", "encoding", "checking"}
    assert len(calls) < 2_000


def test_a_mixture_of_many_shards_works_where_few_files_may_be_open(tmp_path: Path, gpt2: Tokenizer) -> None:
    source = tmp_path / "a.txt"
    source.write_text("some words of a text " * 400)
    folders = []
    for number in range(5):
        folders.append(tmp_path / str(number))
        prepare(source, folders[-1], tokenizer=gpt2, shard_tokens=7, val=0, seed=number)
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400));"
        "from bytemill.data import TokenLoader;"
        "loader = TokenLoader(sys.argv[1:], batch_size=8, seq_len=8, weights=[1] * 5);"
        "[next(loader) for _ in range(300)]; print('done')"
    )
    ran = subprocess.run([sys.executable, "-c", code, *map(str, folders)], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("done\n", "")
