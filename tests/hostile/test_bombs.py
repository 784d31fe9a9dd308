"""Reliability row 16: files that grow more than a thousandfold, refused by every command at a limit that is named."""

import gzip
import re
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data import prepare
from bytemill.errors import FormatError

ROW = b'{"text": "' + b"x" * 1_000 + b'"}\n'
ROWS_BYTES = 64_000_000
LONG_TEXT = "y" * 1_000_000


def zstandard(path: Path) -> None:
    with pa.output_stream(path, compression="zstd") as stream:
        stream.write(ROW * (ROWS_BYTES // len(ROW)))


def parquet_dictionary(path: Path) -> None:
    """One text, and a number that names it for each row."""
    parquet.write_table(pa.table({"text": [LONG_TEXT] * 64}), path, compression="zstd")


def parquet_pages(path: Path) -> None:
    """Each row's text anew, packed by the format itself."""
    table = pa.table({"text": [LONG_TEXT] * 64})
    parquet.write_table(table, path, compression="zstd", use_dictionary=False, write_statistics=False)


def arrow(path: Path) -> None:
    table = pa.table({"text": [LONG_TEXT] * 64})
    with pa.ipc.new_file(path, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)


def arrow_dictionary(path: Path) -> None:
    """Nothing is packed, and yet the rows together are thousands of times as long as the file."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 6_000, pa.int8()), [LONG_TEXT[:10_000]])
    table = pa.table({"text": texts})
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)


BOMBS = {
    "rows.jsonl.zst": zstandard,
    "dictionary.parquet": parquet_dictionary,
    "pages.parquet": parquet_pages,
    "packed.arrow": arrow,
    "dictionary.arrows": arrow_dictionary,
}


def refusal(path: Path) -> str:
    """The message, with the limit in bytes."""
    limit = path.stat().st_size * 1_000 + (16 << 20)
    return (
        f"{path.name}: {{place}}unpacks to more than {limit} bytes (1000 times its size plus 16 MiB), which is refused"
    )


def check(path: Path, folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands refuse `path`, in Python and on the command line, and leave nothing."""
    told = re.escape(refusal(path)).replace(r"\{place\}", "(row group 0, row 1: Parquet error: )?")
    tokenizer = Tokenizer.train(texts=["xxxx yyyy"], vocab_size=260)
    tokenizer.save(folder / "t.json")
    out = folder / "out"
    with pytest.raises(FormatError, match=told):
        Tokenizer.train(files=path, vocab_size=300)
    with pytest.raises(FormatError, match=told):
        prepare(path, out, tokenizer=tokenizer)
    train = ["tokenizer", "train", path, "--vocab-size", "300", "--output", folder / "learnt.json"]
    for command in (train, ["data", "prepare", path, "--tokenizer", folder / "t.json", "--output", out]):
        monkeypatch.setattr("sys.argv", ["bytemill", *map(str, command)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        assert stopped.value.code == 1
        # The console breaks long lines.
        assert re.search(told, " ".join(capfd.readouterr().err.split()))
    assert not out.exists() or not list(out.glob("*.bin"))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_a_limit(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    BOMBS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 40_000
    check(tmp_path / name, tmp_path, capfd, monkeypatch)


@pytest.mark.long
def test_the_most_that_gzip_can_grow(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deflate packs 1,032 bytes into one at best, so that only beyond 600 MB such a file is over the limit."""
    path = tmp_path / "lines.txt.gz"
    lines = b"x\n" * 50_000_000
    path.write_bytes(gzip.compress(lines, compresslevel=9) * 7)
    assert 7 * len(lines) > path.stat().st_size * 1_000 + (16 << 20)
    check(path, tmp_path, capfd, monkeypatch)
