"""Tables as pandas, Excel and people write them: quotes, headers, separators, encodings, packed files."""

import csv
import gzip
import json

import pytest

from bytemill.data.rows import file_text, read_rows
from bytemill.errors import DataError

LABELLED = ["text", "label"]


def read(path, columns=LABELLED, **more):
    notes: list[str] = []
    return read_rows(path, columns, notes=notes, **more), notes


class TestTabs:
    def test_a_first_line_whose_label_no_other_line_has_is_a_header(self, tmp_path) -> None:
        path = tmp_path / "messages.tsv"
        path.write_text("category\tmessage\nham\thi\nspam\twin\nham\tbye\n")
        rows, notes = read(path)
        assert rows == [{"label": a, "text": b} for a, b in (("ham", "hi"), ("spam", "win"), ("ham", "bye"))]
        assert notes == [
            "the first line of messages.tsv is taken for names of columns: no other line has the label 'category'"
        ]

    @pytest.mark.parametrize("content", ["ham\thi\nspam\twin\nham\tbye\n", "ham\thi\nspam\twin\n", "ham\thi\n"])
    def test_a_first_line_that_may_be_a_row_stays(self, tmp_path, content) -> None:
        for name in ("messages.tsv", "SMSSpamCollection"):
            (tmp_path / name).write_text(content)
            rows, notes = read(tmp_path / name)
            assert len(rows) == content.count("\n")
            assert not notes

    def test_columns_that_are_set_are_not_guessed(self, tmp_path) -> None:
        (tmp_path / "a.tsv").write_text("category\tmessage\nham\thi\nham\tbye\n")
        names = {"text": "message", "label": "category"}
        assert read(tmp_path / "a.tsv", names=names) == (
            [{"label": "ham", "text": "hi"}, {"label": "ham", "text": "bye"}],
            [],
        )
        with pytest.raises(DataError, match="no row has a column 'sms'; there are category, message"):
            read(tmp_path / "a.tsv", ["text"], names={"text": "sms"})

    @pytest.mark.parametrize("header", [True, False])
    @pytest.mark.parametrize("text", ['say "hi" now', '"quoted"', "two\nlines", "a\ttab", '"', 'ends with "', "plain"])
    def test_what_csv_s_rules_write_is_read_back(self, tmp_path, header, text) -> None:
        """As to_csv of pandas with tabs, and Excel, do."""
        rows = [{"label": "ham", "text": text}, {"label": "spam", "text": "plain"}, {"label": "ham", "text": "x"}]
        with (tmp_path / "a.tsv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["label", "text"], delimiter="\t", lineterminator="\n")
            if header:
                writer.writeheader()
            writer.writerows(rows)
        assert read(tmp_path / "a.tsv")[0] == rows

    def test_quotes_that_break_csv_s_rules_are_text(self, tmp_path) -> None:
        (tmp_path / "a.tsv").write_text('label\ttext\na\t"never closed\nb\t"half" quoted\nc\t"whole"\n')
        assert [row["text"] for row in read(tmp_path / "a.tsv")[0]] == ['"never closed', '"half" quoted', '"whole"']

    def test_quotes_that_would_join_whole_lines_are_text(self, tmp_path) -> None:
        (tmp_path / "a.tsv").write_text('label\ttext\na\t"one\nb\ttwo"\n')
        assert [row["text"] for row in read(tmp_path / "a.tsv")[0]] == ['"one', 'two"']

    def test_a_file_without_an_ending_has_no_quotes(self, tmp_path) -> None:
        (tmp_path / "SMSSpamCollection").write_text('ham\t"Life is nothing"\nspam\twin\n')
        assert read(tmp_path / "SMSSpamCollection")[0][0]["text"] == '"Life is nothing"'


class TestCommas:
    @pytest.mark.parametrize(
        "content",
        [
            "label;text\r\nham;hi, you\r\n",
            "sep=;\r\nlabel;text\r\nham;hi, you\r\n",
            '"sep=|"\nlabel|text\nham|hi, you\n',
            "label\ttext\nham\thi, you\n",
            'label,text\nham,"hi, you"\n',
            '\n\nlabel,text\n\nham,"hi, you"\n\n',
        ],
    )
    def test_separators(self, tmp_path, content) -> None:
        (tmp_path / "a.csv").write_text(content, newline="")
        assert read(tmp_path / "a.csv")[0] == [{"label": "ham", "text": "hi, you"}]

    def test_the_separator_is_the_one_that_gives_the_columns(self, tmp_path) -> None:
        (tmp_path / "a.csv").write_text("text,a;b;c\nhi,x\n")
        assert read(tmp_path / "a.csv", ["text"])[0] == [{"text": "hi", "a;b;c": "x"}]
        (tmp_path / "a.csv").write_text("a;b\nx\n")
        assert read(tmp_path / "a.csv", ["a;b"])[0] == [{"a;b": "x"}]

    def test_the_line_of_a_fault_counts_excel_s_line(self, tmp_path) -> None:
        (tmp_path / "a.csv").write_text("sep=;\nlabel;text\nham;hi\nham\n")
        with pytest.raises(DataError, match=r"a\.csv:4: row 2 has 1 fields, the first line 2"):
            read(tmp_path / "a.csv")

    def test_a_wrong_column_names_its_setting_and_the_columns(self, tmp_path) -> None:
        (tmp_path / "a.csv").write_text("review, mood\nx,y\n")
        with pytest.raises(DataError) as caught:
            read(tmp_path / "a.csv", setting="data.{}_column")
        assert str(caught.value).endswith(
            "no row has a column 'text'; there are review, ' mood'; data.text_column names the column to read"
        )


class TestEncodings:
    TEXT = "label,text\nham,Größe\n"
    ROWS = [{"label": "ham", "text": "Größe"}]  # noqa: RUF012

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
    @pytest.mark.parametrize("is_packed", [False, True])
    def test_with_a_byte_order_mark(self, tmp_path, encoding, is_packed) -> None:
        path = tmp_path / ("a.csv.gz" if is_packed else "a.csv")
        data = self.TEXT.encode(encoding)
        path.write_bytes(gzip.compress(data) if is_packed else data)
        assert read(path)[0] == self.ROWS

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (TEXT.encode("cp1252"), r"a\.csv:2: byte 7 of this line, 0xf6, is not UTF-8; save it as UTF-8"),
            (b"a" * 500 + "\n\n’".encode("cp1252"), r"a\.csv:3: byte 1 of this line, 0x92"),
            (TEXT.encode("utf-16-le"), "begins with NUL bytes, like UTF-16 without a byte order mark"),
            (TEXT.encode("utf-16")[:-1], "its byte order mark says utf-16-le, but it is not; save it as UTF-8"),
            (gzip.compress(TEXT.encode())[:-9], "incomplete or damaged gzip file"),
            (gzip.compress(bytes(40 << 20), 9), "grows to more than"),
        ],
        ids=["cp1252", "a quote of cp1252", "utf-16 without a mark", "half utf-16", "half gzip", "a bomb"],
    )
    def test_another_encoding_is_named_with_its_place(self, tmp_path, data, message) -> None:
        (tmp_path / "a.csv").write_bytes(data)
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.csv")

    def test_a_packed_file_grows_to_the_limit_and_no_further(self, tmp_path, monkeypatch) -> None:
        data = (self.TEXT + "ham,hi\n" * 1000).encode()
        (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data))
        size = len(data)
        monkeypatch.setattr(file_text, "MAX_ROWS_BYTES", size)
        assert len(read(tmp_path / "a.csv.gz")[0]) == 1001
        monkeypatch.setattr(file_text, "MAX_ROWS_BYTES", size - 1)
        with pytest.raises(DataError, match=f"grows to more than {size - 1:,} bytes"):
            read(tmp_path / "a.csv.gz")


class TestJson:
    ROWS = [{"text": "one"}, {"text": "two\u2028"}]  # noqa: RUF012
    LINES = "\n".join(json.dumps(row) for row in ROWS)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("a.json", LINES),
            ("a.json", "\n" + LINES + "\n\n"),
            ("a.json", json.dumps({"data": ROWS})),
            ("a.json", json.dumps({"version": "1", "rows": ROWS}, indent=2)),
            ("a.json", json.dumps({"data": ROWS, "others": [{"x": 1}]})),
            ("a.jsonl", LINES),
            ("a.ndjson", LINES),
            ("a.jsonl", json.dumps(ROWS, indent=1)),
            ("a.jsonl.gz", LINES),
            ("a.ndjson.gz", LINES),
            ("a.json.gz", json.dumps(ROWS)),
        ],
    )
    def test_forms(self, tmp_path, name, content) -> None:
        (tmp_path / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        assert read(tmp_path / name, ["text"])[0] == self.ROWS

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ('{"text": "x"}', "or an object that holds such a list, as .* this is one without rows"),
            ('{"text": ["x"]}', "this is one without rows"),
            ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "one with lists of rows under 'a', 'b'"),
            ('{"text": "x"}\n{"text": \n', "a.json:2: not JSON"),
            ('{"text": "x"\n}\n{"text": 1}', "a.json: not JSON"),
        ],
    )
    def test_what_is_no_list_of_rows(self, tmp_path, content, message) -> None:
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(DataError, match=message):
            read(tmp_path / "a.json", ["text"])


class TestText:
    def test_a_text_is_one_row_where_only_a_text_is_asked_for(self, tmp_path) -> None:
        (tmp_path / "book.txt").write_text("One line.\n\nA line with\ta tab.\n")
        assert read(tmp_path / "book.txt", ["text"])[0] == [{"text": "One line.\n\nA line with\ta tab.\n"}]
        with pytest.raises(DataError, match=r"book\.txt:1: rows are read from .* this line has no tab"):
            read(tmp_path / "book.txt")

    def test_lines_of_label_and_text_stay_rows(self, tmp_path) -> None:
        (tmp_path / "a.txt").write_text("ham\tone\nham\ttwo\n")
        assert [row["text"] for row in read(tmp_path / "a.txt", ["text"])[0]] == ["one", "two"]


class TestArrow:
    def test_a_folder_that_datasets_saved(self, tmp_path) -> None:
        datasets = pytest.importorskip("datasets", reason="extra `hf` is not installed")
        rows = [{"text": f"{i}", "messages": [{"role": "user", "content": "Hi"}]} for i in range(5)]
        data = datasets.Dataset.from_list(rows)
        data.save_to_disk(tmp_path / "one", num_shards=2)
        assert read(tmp_path / "one", ["text"])[0] == rows
        data.select([3, 1]).save_to_disk(tmp_path / "chosen")
        assert [row["text"] for row in read(tmp_path / "chosen", ["text"])[0]] == ["3", "1"]
        datasets.DatasetDict({"train": data, "test": data.select([0])}).save_to_disk(tmp_path / "both")
        assert read(tmp_path / "both", ["text"])[0] == rows
        assert len(read(tmp_path / "both" / "test", ["text"])[0]) == 1

    def test_what_is_wrong_with_a_folder_is_named(self, tmp_path) -> None:
        pytest.importorskip("pyarrow", reason="extra `hf` is not installed")
        with pytest.raises(DataError, match="a folder, expected a file of rows"):
            read(tmp_path)
        (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../rows.arrow"}]}))
        with pytest.raises(DataError, match=r"state\.json: not written by `datasets\.save_to_disk`"):
            read(tmp_path)
        (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "rows.arrow"}]}))
        (tmp_path / "rows.arrow").write_bytes(b"no arrow")
        with pytest.raises(DataError, match=r"rows\.arrow: incomplete or damaged Arrow file"):
            read(tmp_path)
        (tmp_path / "dataset_dict.json").write_text('{"splits": ["test"]}')
        with pytest.raises(DataError, match="has no split 'train'"):
            read(tmp_path)
        (tmp_path / "dataset_dict.json").unlink()
        (tmp_path / "manifest.json").write_text("{}")
        with pytest.raises(DataError, match="a folder of token shards, expected rows"):
            read(tmp_path)
