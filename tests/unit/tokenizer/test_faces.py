"""Arrays of the caller's, first ids, token files and streams: each equals the plain call it is a short cut for."""

import gzip
import itertools
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bytemill import Tokenizer
from bytemill.errors import ArgumentError, DataError, FormatError

TEXT = "the cat sat on the mat; 北京大学，北京。 <|endoftext|> don't 12345\n\n  x"
PIECES = st.text(alphabet=st.sampled_from("ab ,.'\n\t1é中文ll’"), max_size=120)


@pytest.fixture(scope="module", params=["gpt2", "cl100k", "o200k", None, r"\w+|\W+"], ids=str)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return Tokenizer.train(texts=[TEXT.replace("<|endoftext|>", "")] * 3, vocab_size=300, pattern=request.param)


@given(text=PIECES, special=st.booleans(), most=st.integers(0, 150))
def test_the_first_ids_are_a_prefix(tokenizer: Tokenizer, text: str, special: bool, most: int) -> None:
    text = text.replace("’", "<|endoftext|>")
    rules = {"allowed_special": "all" if special else (), "disallowed_special": ()}
    expected = tokenizer.encode(text, **rules)[:most]
    assert tokenizer.encode(text, max_tokens=most, **rules) == expected
    assert tokenizer.encode_to_numpy(text, max_tokens=most, **rules).tolist() == expected
    assert tokenizer.encode_batch([text, ""], max_tokens=most, **rules) == [expected, []]
    assert tokenizer.encode_batch_to_numpy([text, text], max_tokens=most, **rules)[0].tolist() == expected * 2
    assert tokenizer.encode_ordinary(text, max_tokens=most) == tokenizer.encode_ordinary(text)[:most]


def test_first_ids_of_a_huge_text_and_what_is_disallowed_behind_them(gpt2: Tokenizer) -> None:
    text = "one two " * 100_000 + "<|endoftext|>"
    assert gpt2.encode(text, max_tokens=3, disallowed_special=()) == gpt2.encode("one two one")
    with pytest.raises(DataError, match="endoftext"):
        gpt2.encode(text, max_tokens=3)
    with pytest.raises(ArgumentError, match="max_tokens is -1"):
        gpt2.encode("x", max_tokens=-1)


@pytest.mark.parametrize("dtype", ["uint16", np.uint32, np.dtype("uint16")])
def test_ids_go_into_the_callers_array(gpt2: Tokenizer, dtype: object) -> None:
    expected = gpt2.encode_ordinary(TEXT)
    out = np.full(len(expected) + 3, 7, dtype=dtype)
    filled = gpt2.encode_to_numpy(TEXT, out=out, disallowed_special=())
    assert filled.base is out
    assert filled.dtype == out.dtype
    assert out.tolist() == [*expected, 7, 7, 7]
    fresh = gpt2.encode_to_numpy(TEXT, dtype=dtype, disallowed_special=())
    assert fresh.dtype == out.dtype
    assert fresh.tolist() == expected
    ids, offsets = gpt2.encode_batch_to_numpy(["a", "b c"], out=out)
    assert ids.tolist() == gpt2.encode("a") + gpt2.encode("b c")
    assert offsets.tolist() == [0, 1, 3]
    assert gpt2.encode_to_numpy("", out=out).shape == (0,)


def _read_only() -> np.ndarray:
    array = np.zeros(99, dtype=np.uint32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "dtype", "says"),
    [
        (np.zeros(1, dtype=np.uint32), None, "room for 1 ids"),
        (np.zeros(99, dtype=np.uint32)[::2], None, "contiguous"),
        (np.zeros((9, 9), dtype=np.uint32), None, "one dimension"),
        (np.zeros(99, dtype=np.int64), None, "expected uint16 or uint32"),
        (np.zeros(99, dtype=">u4"), None, "expected uint16 or uint32"),
        (np.zeros(99, dtype=np.uint32), "uint16", "another type"),
        (_read_only(), None, "read-only"),
        (None, "int32", "expected uint16 or uint32"),
    ],
)
def test_arrays_that_cannot_be_filled_are_refused(gpt2: Tokenizer, out: object, dtype: object, says: str) -> None:
    with pytest.raises(ArgumentError, match=says):
        gpt2.encode_to_numpy("a b c", out=out, dtype=dtype)
    with pytest.raises(TypeError, match="out must be a numpy array, found list"):
        gpt2.encode_to_numpy("a", out=[1, 2])


def test_an_id_past_uint16_is_named() -> None:
    wide = Tokenizer.train(texts=["a"], vocab_size=257)
    many = _with_ids_from(wide, 65_530)
    assert many.encode_to_numpy("<5>", dtype="uint16", allowed_special="all").tolist() == [65_535]
    with pytest.raises(DataError, match="token id 65536 at position 1 does not fit into uint16"):
        many.encode_to_numpy("a<6>", dtype="uint16", allowed_special="all")


def _with_ids_from(tokenizer: Tokenizer, first: int) -> Tokenizer:
    """The bytes, and special tokens <0>, <1>, … with ids from `first`."""
    from bytemill import _core

    special = [(f"<{n}>", first + n) for n in range(10)]
    return Tokenizer(_core.tokenizer_from_ranks([(bytes([byte]), byte) for byte in range(256)], "gpt2", special))


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Text, empty text, rows, and both compressed; the last as a folder."""
    folder = tmp_path / "more"
    folder.mkdir()
    (tmp_path / "a.txt").write_text("first line\nsecond, 北京。\nthird\n" * 400, encoding="utf-8")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n{"text": "two <|endoftext|>"}\n')
    (folder / "b.txt.gz").write_bytes(gzip.compress(b"packed text"))
    return [tmp_path / "a.txt", tmp_path / "empty.txt", tmp_path / "rows.jsonl", folder]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", ["ids.npy", "ids.bin"])
def test_files_to_a_token_file(gpt2: Tokenizer, sources: list[Path], tmp_path: Path, name: str, threads: int) -> None:
    documents = [sources[0].read_text(encoding="utf-8"), "one", "two <|endoftext|>", "packed text"]
    expected = [id_ for text in documents for id_ in [*gpt2.encode_ordinary(text), gpt2.eot_token]]
    out = tmp_path / "out" / name
    out.parent.mkdir()
    n_ids = gpt2.encode_to_file(
        sources, out, end_token="<|endoftext|>", threads=threads, disallowed_special=(), progress=True
    )
    found = np.load(out) if name.endswith("npy") else np.fromfile(out, dtype="<u2")
    assert found.dtype == np.uint16
    assert (n_ids, found.tolist()) == (len(expected), expected)
    assert [path.name for path in out.parent.iterdir()] == [name]
    assert gpt2.encode_file(sources[0], dtype="uint16").dtype == np.uint16


def test_a_token_file_that_fails_leaves_nothing(gpt2: Tokenizer, sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "ids.bin"
    with pytest.raises(DataError, match="endoftext"):
        gpt2.encode_to_file(sources, out)
    with pytest.raises(ArgumentError, match="end_token is"):
        gpt2.encode_to_file(sources, out, end_token="</s>")
    (tmp_path / "bad.txt").write_bytes(b"ab\xff")
    with pytest.raises(FormatError, match="UTF-8 at byte 2"):
        gpt2.encode_to_file(tmp_path / "bad.txt", out)
    with pytest.raises(FileNotFoundError):
        gpt2.encode_to_file(tmp_path / "missing.txt", out)
    assert not list(tmp_path.glob("ids.bin*"))


@settings(max_examples=60)
@given(data=st.binary(max_size=60))
def test_a_stream_gives_what_decode_gives(tokenizer: Tokenizer, data: bytes) -> None:
    stream = tokenizer.decode_stream()
    ids = tokenizer.encode_bytes(data)
    parts = [stream.push(token) for token in ids]
    assert "".join([*parts, stream.finish()]) == tokenizer.decode(ids)
    assert stream.finish() == ""


def test_a_stream_names_unknown_ids_and_begins_anew() -> None:
    stream = Tokenizer.train(texts=[""], vocab_size=257).decode_stream()
    assert stream.push(0xE5) == ""
    with pytest.raises(DataError, match="token id 999 at position 1"):
        stream.push(999)
    assert stream.finish() == "\ufffd"
    assert stream.push(97) == "a"


def test_32_threads_share_a_tokenizer(gpt2: Tokenizer) -> None:
    text = "".join(f"word{n} 北京{n} don't " for n in range(600))
    expected, found = gpt2.encode_ordinary(text), []

    def work() -> None:
        found.append((gpt2.encode_ordinary(text), gpt2.encode_batch([text], threads=2)[0], gpt2.decode(expected)))

    threads = [threading.Thread(target=work) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 32
    assert all(one == (expected, expected, text) for one in found)


def test_encode_and_decode_commands(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from bytemill.cli import main

    def run(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["bytemill", "tokenizer", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        assert not stopped.value.code
        return capfd.readouterr().out

    saved, packed, rows = tmp_path / "t.json", tmp_path / "a.txt.gz", tmp_path / "b.jsonl"
    tokenizer = Tokenizer.train(texts=[TEXT.replace("<|endoftext|>", "")] * 3, vocab_size=300)
    tokenizer.save(saved)
    packed.write_bytes(gzip.compress("北京 the cat".encode()))
    rows.write_text('{"text": "on the mat"}\n{"text": "sat"}\n')
    texts = ["北京 the cat", "on the mat", "sat"]
    lines = run("encode", "-t", saved, packed, rows, "--json").splitlines()
    assert list(map(json.loads, lines)) == [tokenizer.encode(text) for text in texts]
    assert run("encode", "-t", saved, rows, "--max-tokens", 1).split() == [
        str(tokenizer.encode(text)[0]) for text in texts[1:]
    ]
    for out in (tmp_path / "ids.npy", tmp_path / "ids.bin"):
        for limit in ((), ("--max-tokens", 1_000)):
            assert run("encode", "-t", saved, packed, rows, "--out", out, *limit) == f"{out}\n"
            assert run("decode", "-t", saved, out) == "".join(texts)
    assert json.loads(run("decode", "-t", saved, out, "--json", "--max-tokens", 2)) == tokenizer.decode(
        tokenizer.encode(texts[0])[:2]
    )


@pytest.mark.long  # times decide it
def test_other_threads_have_their_turn_while_texts_are_counted() -> None:
    """The interpreter was kept until the last text was counted."""
    done, times = threading.Event(), [time.monotonic()]

    def tick() -> None:
        while not done.wait(0.001):
            times.append(time.monotonic())

    ticking = threading.Thread(target=tick)
    ticking.start()
    Tokenizer.train(texts=["the cat sat on a mat, " * 2_000_000], vocab_size=257, threads=2)
    done.set()
    ticking.join()
    times.append(time.monotonic())
    longest = max(after - before for before, after in itertools.pairwise(times))
    assert longest < (times[-1] - times[0]) / 2
