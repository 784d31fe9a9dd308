"""`tokenizer vocab`, and `--encoding` of `tokenizer train` and `data prepare`."""

import csv
import io
import json
import sys
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.data import verify

TEXT = "我们在北京大学学习语言模型,并且训练一个小的模型。今天天气很好😀。\n" * 30


@pytest.fixture
def run(capfd, monkeypatch, tmp_path):
    """Runs `bytemill ARGUMENTS…` in this process, in a folder with texts: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    Path("utf8.txt").write_text(TEXT, encoding="utf-8")
    Path("gb.txt").write_bytes(TEXT.encode("gb18030"))
    Tokenizer.train(files=["utf8.txt"], vocab_size=300).save("utf8.json")

    def call(line, stdin=b""):
        monkeypatch.setattr("sys.argv", ["bytemill", *line.split()])
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            main()
        return (stopped.value.code or 0, *capfd.readouterr())

    return call


def trained(line):
    return f"tokenizer train {line} --vocab-size 300 -o out.json"


def test_gb18030_is_refused_with_its_name_and_decoded(run):
    code, _, err = run(trained("gb.txt"))
    assert code == 1
    assert err == (
        "bytemill: gb.txt: not UTF-8 text: it has the byte 0xce at offset 0; it is probably gb18030: "
        "use --encoding gb18030, or --encoding bytes to keep the bytes\n"
    )
    assert not Path("out.json").exists()
    assert run(trained("gb.txt --encoding gb18030"))[0] == 0
    assert Path("out.json").read_bytes() == Path("utf8.json").read_bytes()
    assert sorted(path.name for path in Path().iterdir()) == ["gb.txt", "out.json", "utf8.json", "utf8.txt"]


def test_bytes_can_still_be_trained_on(run):
    assert run(trained("gb.txt --encoding bytes"))[0] == 0
    assert Tokenizer.load("out.json").merges == Tokenizer.train(files=["gb.txt"], vocab_size=300).merges


def test_stdin_and_held_out_text_are_decoded_too(run):
    code, _, err = run(trained("-"), stdin=TEXT.encode("gb18030"))
    assert (code, "stdin: not UTF-8 text" in err, "--encoding gb18030" in err) == (1, True, True)
    assert run(trained("- --encoding gb18030"), stdin=TEXT.encode("gb18030"))[0] == 0
    assert Path("out.json").read_bytes() == Path("utf8.json").read_bytes()
    assert "gb.txt: not UTF-8" in run(trained("utf8.txt --held-out gb.txt"))[2]
    as_utf8 = run(trained("utf8.txt --held-out utf8.txt"))[2]
    assert run(trained("gb.txt --held-out gb.txt --encoding gb18030"))[2] == as_utf8


def test_damaged_utf8_is_announced_and_used(run):
    Path("damaged.txt").write_bytes(TEXT.encode() + b"\xff")
    code, _, err = run(trained("damaged.txt"))
    assert code == 0
    assert "warning: damaged.txt: not UTF-8 text: it has the byte 0xff at offset" in err


def test_a_wrong_encoding_names_the_place(run):
    assert "gb.txt: not ascii text at byte 0" in run(trained("gb.txt --encoding ascii"))[2]
    code, _, err = run(trained("gb.txt --encoding nonsense"))
    assert (code, "--encoding is 'nonsense'" in err) == (2, True)


def test_shards_of_decoded_text_are_those_of_utf8(run):
    assert "gb.txt: not UTF-8" in run("data prepare gb.txt -t utf8.json -o shards")[2]
    assert not Path("shards").exists()
    assert run("data prepare gb.txt -t utf8.json -o shards --encoding gbk")[0] == 1  # the emoji has four bytes
    assert run("data prepare gb.txt -t utf8.json -o shards --encoding gb18030")[0] == 0
    assert run("data prepare utf8.txt -t utf8.json -o others")[0] == 0
    verify("shards", against="utf8.txt", tokenizer=Tokenizer.load("utf8.json"))
    for name in ("train_000000.bin", "val_000000.bin"):
        assert (Path("shards") / name).read_bytes() == (Path("others") / name).read_bytes()
    assert run("data verify shards --against gb.txt -t utf8.json --encoding gb18030")[0] == 0
    assert run("data verify shards --against gb.txt -t utf8.json")[0] == 2


def test_a_folder_is_decoded_and_its_rows_are_left(run):
    Path("in").mkdir()
    Path("in/a.txt").write_bytes(TEXT.encode("gb18030"))
    Path("in/b.jsonl").write_text(json.dumps({"text": "北大"}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert run("data prepare in -t utf8.json -o shards --encoding gb18030 --val 0.5")[0] == 0
    shown = (
        run("data inspect shards -t utf8.json --split train -n 9")[1]
        + run("data inspect shards -t utf8.json --split val -n 9")[1]
    )
    assert shown.count("── document") == 2


def test_the_vocabulary_as_csv_and_json(run):
    tokenizer = Tokenizer.load("utf8.json")
    assert run("tokenizer vocab utf8.json -o v.csv")[1] == "v.csv\n"
    with Path("v.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "bytes", "text", "length", "special", "left", "right"]
    assert [bytes.fromhex(row["bytes"]) for row in rows[:-1]] == [
        tokenizer.decode_single_token_bytes(one) for one in range(tokenizer.n_vocab - 1)
    ]
    assert rows[-1]["text"] == "<|endoftext|>"
    assert [row["special"] for row in rows].count("1") == 1
    assert run("tokenizer vocab utf8.json --format json")[0] == 0
    found = json.loads(run("tokenizer vocab utf8.json --format json")[1])
    assert [str(one["id"]) for one in found] == [row["id"] for row in rows]
    (pair,) = [one for one in found if one["text"] == "模型"] or [None]
    if pair is not None:
        assert tokenizer.decode_bytes([pair["left"], pair["right"]]) == "模型".encode()


def test_the_vocabulary_is_searched(run):
    assert run("tokenizer vocab gpt2 --search China")[1].splitlines()[2:] == [
        "| 2807 | 204368696e61 | ' China' | 6 |  | 609 | 1437 |",
        "| 14581 | 4368696e61 | 'China' | 5 |  | 1925 | 1437 |",
        "| 47043 | 204368696e61746f776e | ' Chinatown' | 10 |  | 22604 | 41079 |",
    ]
    assert len(run("tokenizer vocab gpt2 --bytes e58c")[1].splitlines()) == 3
    assert run("tokenizer vocab gpt2 --ids 50256")[1].splitlines()[2].startswith("| 50256 | ")
    code, out, err = run("tokenizer vocab gpt2 --regex ^[0-9]+$ -n 4")
    assert (code, len(out.splitlines())) == (0, 6)
    assert "of which 4 are shown" in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--ids 5:2", "--ids is '5:2'"),
        ("--ids x", "--ids is 'x'"),
        ("--bytes xyz", "--bytes is 'xyz'"),
        ("--regex [", "is not valid"),
        ("-o v.xlsx", "unknown file ending"),
    ],
)
def test_wrong_searches_are_one_sentence(run, options, said):
    code, out, err = run(f"tokenizer vocab gpt2 {options}")
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert said in err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_table_on_a_terminal_has_lines(tmp_path):
    import os
    import pty
    import subprocess

    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "bytemill", "tokenizer", "vocab", "gpt2", "--search", "China"]
    environment = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run(command, stdout=follower, stderr=subprocess.PIPE, env=environment, check=True, cwd=tmp_path)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 1 << 16)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    text = shown.decode()
    assert done.stderr == b"3 tokens\n"
    assert "| ---" not in text
    assert "│ 14581 │ 4368696e61" in text
    assert "' Chinatown'" in text
