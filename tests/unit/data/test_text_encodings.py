"""Text in other encodings: guessed, placed and decoded to the right characters."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bytemill.data import text_encodings
from bytemill.data.text_encodings import (
    NotUtf8,
    decode_file,
    is_text,
    known_encoding,
    likely_encoding,
    not_utf8,
)
from bytemill.errors import ArgumentError, DataError, FormatError

CHINESE = "我们在北京大学学习语言模型,并且训练一个小的模型。今天天气很好,大家都去公园玩。"
TRADITIONAL = "我們在北京大學學習語言模型,並且訓練一個小的模型。今天天氣很好,大家都去公園玩。"
JAPANESE = "私たちは大学で言語モデルを勉強しています。今日は天気がいいので、公園に行きました。"
KOREAN = "우리는 대학교에서 언어 모델을 공부합니다. 오늘은 날씨가 좋아서 공원에 갔습니다."
FRENCH = "L'été dernier, nous avons passé deux semaines à Genève, au bord du lac."
RUSSIAN = "Мы изучаем языковые модели в университете."


@pytest.mark.parametrize(
    ("text", "encoding", "likely"),
    [
        (CHINESE, "gbk", "gb18030"),
        (CHINESE + "😀𠀀", "gb18030", "gb18030"),
        ("Chapter 1. The model: " * 50 + CHINESE[:8], "gbk", "gb18030"),
        (TRADITIONAL, "big5", "big5"),
        (JAPANESE, "euc_jp", "euc_jp"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (KOREAN, "euc_kr", "euc_kr"),
        (FRENCH, "cp1252", "cp1252"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8_r", "koi8_r"),
        (CHINESE, "utf-16", "utf-16"),
        ("plain English text", "utf-16-le", "utf-16-le"),
        ("plain English text", "utf-16-be", "utf-16-be"),
        ("plain English text", "utf-32", "utf-32"),
    ],
)
def test_the_encoding_is_guessed_and_decodes_to_the_same_text(text: str, encoding: str, likely: str) -> None:
    sample = text.encode(encoding)
    assert likely_encoding(sample) == likely
    assert sample.decode(likely) == text


def test_utf8_and_damaged_utf8_have_no_other_encoding() -> None:
    assert not_utf8((CHINESE + FRENCH).encode()) is None
    assert not_utf8(CHINESE.encode() + b"\xff") == NotUtf8(len(CHINESE.encode()), 0xFF, None)


def test_the_place_is_found_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encodings, "_PIECE_BYTES", 5)
    file = tmp_path / "a.txt"
    file.write_bytes("北北北北".encode() + b"\xe5\x8cx")  # a character that ends too early, at byte 12
    found = not_utf8(file)
    assert found is not None
    assert (found.offset, found.byte) == (12, 0xE5)


def test_only_the_beginning_of_a_long_file_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encodings, "_PIECE_BYTES", 10)
    monkeypatch.setattr(text_encodings, "CHECKED_BYTES", 100)
    file = tmp_path / "a.txt"
    file.write_bytes(b"a" * 99 + b"\xff")
    assert not_utf8(file) is not None
    file.write_bytes(b"a" * 100 + b"\xff")
    assert not_utf8(file) is None


@pytest.mark.parametrize("piece", [1, 2, 3, 1 << 20])
def test_a_file_is_decoded_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(text_encodings, "_PIECE_BYTES", piece)
    text = CHINESE + "😀\r\n𠀀"
    (tmp_path / "a.txt").write_bytes(text.encode("gb18030"))
    with gzip.open(tmp_path / "b.txt.gz", "wb") as packed:
        packed.write(text.encode("gb18030"))
    for name in ("a.txt", "b.txt.gz"):
        decode_file(tmp_path / name, tmp_path / "out", "gb18030")
        assert (tmp_path / "out").read_bytes() == text.encode()


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
def test_a_byte_of_another_encoding_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    monkeypatch.setattr(text_encodings, "_PIECE_BYTES", piece)
    (tmp_path / "a.txt").write_bytes("北京".encode("gbk") + b"\xff")
    with pytest.raises(DataError, match=r"a\.txt: not gbk text at byte 4"):
        decode_file(tmp_path / "a.txt", tmp_path / "out", "gbk")
    assert not (tmp_path / "out").exists()
    (tmp_path / "a.txt").write_bytes(b"ab\xb1")  # ends inside a character
    with pytest.raises(DataError, match=r"a\.txt: not gbk text at byte 2"):
        decode_file(tmp_path / "a.txt", tmp_path / "out", "gbk")


def test_what_expands_without_measure_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encodings, "_PIECE_BYTES", 100)
    monkeypatch.setattr(text_encodings, "_MOST_EXPANSION", 10)
    with gzip.open(tmp_path / "a.txt.gz", "wb") as packed:
        packed.write(b"a" * 100_000)
    with pytest.raises(FormatError, match="expands to more than 10 times its size"):
        decode_file(tmp_path / "a.txt.gz", tmp_path / "out", "gbk")
    assert not (tmp_path / "out").exists()


def test_names_of_encodings() -> None:
    assert known_encoding("GB18030") == "gb18030"
    for name in ("nonsense", "base64", "rot13", ""):
        with pytest.raises(ArgumentError, match="expected bytes or an encoding"):
            known_encoding(name)


def test_rows_have_their_own_encoding() -> None:
    names = ("a.txt", "a.md.gz", "README", "b.JSONL", "b.ndjson.zst", "c.parquet", "c.arrow")
    assert [name for name in names if not is_text(Path(name))] == ["b.JSONL", "b.ndjson.zst", "c.parquet", "c.arrow"]
