"""Files of rows: every format gives the same rows, and what is wrong is named with its place."""

import json

import pytest

from bytemill.data.rows import read_rows
from bytemill.errors import ArgumentError, DataError

ROWS = [{"text": 'He said "no",\tthen\nleft.', "label": "a"}, {"text": "Ünïcode", "label": "b"}]


def write(folder, kind: str):
    path = folder / f"rows.{kind}"
    if kind == "json":
        path.write_text(json.dumps(ROWS))
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    elif kind == "csv":
        import csv

        with path.open("w", encoding="utf-8-sig", newline="") as file:
            writer = csv.DictWriter(file, ["text", "label"])
            writer.writeheader()
            writer.writerows(ROWS)
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="extra `hf` is not installed")
        import pyarrow

        parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "parquet"])
def test_every_format_gives_the_same_rows(tmp_path, kind) -> None:
    assert read_rows(write(tmp_path, kind), ["text", "label"]) == ROWS


def test_columns_by_name(tmp_path) -> None:
    path = write(tmp_path, "csv")
    renamed = read_rows(path, ["text"], names={"text": "label"})
    assert renamed == [{"text": "a"}, {"text": "b"}]
    with pytest.raises(DataError, match="no row has a column 'review'; there are text, label"):
        read_rows(path, ["text"], names={"text": "review"})


def test_tab_separated_with_names_and_without(tmp_path) -> None:
    (tmp_path / "named.tsv").write_text('text\tlabel\n"quoted\ta\nplain\tb\n')
    assert read_rows(tmp_path / "named.tsv", ["text"])[0] == {"text": '"quoted', "label": "a"}
    for name in ("messages.tsv", "SMSSpamCollection"):
        (tmp_path / name).write_text('ham\tHe said "ok\r\nspam\tWin\ta prize\n')
        assert read_rows(tmp_path / name, ["text", "label"]) == [
            {"label": "ham", "text": 'He said "ok'},
            {"label": "spam", "text": "Win\ta prize"},
        ]


def test_a_tab_table_ends_its_lines_at_line_feeds_alone(tmp_path) -> None:
    (tmp_path / "a.tsv").write_text(
        "label\ttext\tid\na\tone\u2028two\x0c\x85\t1\r\n\nb\tx\n", encoding="utf-8", newline=""
    )
    with pytest.raises(DataError, match=r"a\.tsv:4: row 2 has 2 fields, the first line 3"):
        read_rows(tmp_path / "a.tsv", ["text"])
    (tmp_path / "a.tsv").write_text("label\ttext\tid\na\tone\u2028two\t1\r\n", encoding="utf-8", newline="")
    assert read_rows(tmp_path / "a.tsv", ["text"]) == [{"label": "a", "text": "one\u2028two", "id": "1"}]


def test_a_tab_table_s_own_names_are_seen(tmp_path) -> None:
    (tmp_path / "two.tsv").write_text("class\tsms\na\tone\n")
    given = read_rows(tmp_path / "two.tsv", ["text", "label"], names={"text": "sms", "label": "class"})
    assert given == [{"text": "one", "label": "a"}]
    (tmp_path / "rows.tsv").write_text("instruction\toutput\nSay a.\ta\n")
    assert read_rows(tmp_path / "rows.tsv", ()) == [{"instruction": "Say a.", "output": "a"}]


def test_json_too_deep_to_be_read_is_named(tmp_path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"deep\.json: its JSON is nested"):
        read_rows(tmp_path / "deep.json")


def test_the_spam_collection(shared_data) -> None:
    rows = read_rows(shared_data("sms_spam/SMSSpamCollection"), ["text", "label"])
    assert len(rows) == 5574
    assert sum(row["label"] == "spam" for row in rows) == 747
    assert {row["label"] for row in rows} == {"ham", "spam"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"text,label\none,a\ntwo\n", "a.csv:3: row 2 has 1 fields, the first line 2"),
        ("a.csv", b"text,label\none,a,b\n", "a.csv:2: row 1 has 3 fields, the first line 2"),
        ("a.csv", b'text,label\n"one,a\n', "not a table in CSV"),
        ("a.csv", b"text,label\n\xff,a\n", "a.csv:2: byte 1 of this line, 0xff, is not UTF-8; save it as UTF-8"),
        ("a.csv", b"", "at least one"),
        ("a.tsv", b"text\tlabel\tmore\none\ta\n", "a.tsv:2: row 1 has 2 fields, the first line 3"),
        ("a.csv", b"text,text\none,two\n", "a.csv: 2 columns are named 'text'"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]\n", "expected a list of at least one object, one per row"),
        ("a.parquet", b"PAR1 and nothing else", "incomplete or damaged Parquet file"),
        ("a.txt", b"ham\thello\njust a text\n", "a.txt:2: rows are read from files in .json, .jsonl, .ndjson"),
        ("a.txt", b"ham\t\xff\n", "a.txt:1: byte 5 of this line, 0xff"),
        ("a.xlsx", b"PK", "a.xlsx: a spreadsheet, which cannot be read; save it as CSV in UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, name, content, message) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name, ["text", "label"] if name == "a.txt" else ["text"])


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.txt", "a.csv.gz", "folder"])
def test_a_missing_file_is_named(tmp_path, name) -> None:
    with pytest.raises(DataError, match=rf"{name}: the rows cannot be read: |{name}: .*No such file"):
        read_rows(tmp_path / name, ["text"])


def test_a_data_set_as_the_hub_gives_it(tmp_path) -> None:
    pytest.importorskip("datasets", reason="extra `hf` is not installed")
    write(tmp_path, "jsonl")
    assert read_rows(f"hf:{tmp_path}", ["text"]) == ROWS
    with pytest.raises(ArgumentError, match="expected hf:ID"):
        read_rows("hf:a:b:c:d", ["text"])
