"""The entries of a vocabulary: ids, bytes, text and merge parts, against the plain definition."""

from __future__ import annotations

import pytest

from bytemill import Tokenizer
from bytemill.errors import ArgumentError
from bytemill.tokenizer.entries import containing, entries

TEXT = "low lower lowest 北京大学 北大 " * 20


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=[TEXT], vocab_size=285, special_tokens=["<|endoftext|>", "<|pad|>"])


def test_every_id_has_one_entry_in_order(tokenizer: Tokenizer) -> None:
    found = list(entries(tokenizer))
    assert [one.id for one in found] == list(range(tokenizer.n_vocab))
    assert [one.token for one in found[:256]] == [bytes([byte]) for byte in range(256)]
    assert [one.token for one in found if one.is_special] == [b"<|endoftext|>", b"<|pad|>"]
    assert [one.token for one in found[256:-2]] == [left + right for left, right in tokenizer.merges]


def test_the_parts_make_the_token(tokenizer: Tokenizer) -> None:
    by_id = {one.id: one for one in entries(tokenizer)}
    merged = [one for one in by_id.values() if one.parts is not None]
    assert len(merged) == len(tokenizer.merges) > 10
    for one, (left, right) in zip(merged, tokenizer.merges, strict=True):
        assert one.parts is not None
        assert (by_id[one.parts[0]].token, by_id[one.parts[1]].token) == (left, right)


def test_a_range_has_both_ends(tokenizer: Tokenizer) -> None:
    assert [one.id for one in entries(tokenizer, 97, 99)] == [97, 98, 99]
    assert [one.id for one in entries(tokenizer, tokenizer.n_vocab - 1, 10**9)] == [tokenizer.n_vocab - 1]
    assert list(entries(tokenizer, 10**9)) == []


def test_search_by_text_pattern_and_bytes(tokenizer: Tokenizer) -> None:
    def found(**wanted: object) -> list[bytes]:
        return [one.token for one in filter(containing(**wanted), entries(tokenizer))]  # type: ignore[arg-type]

    every = [one.token for one in entries(tokenizer)]
    assert found(text="low") == [token for token in every if b"low" in token] != []
    assert found(data=b"\xe5\x8c") == [token for token in every if b"\xe5\x8c" in token] != []
    assert found(regex=r"^ l") == [token for token in every if token.startswith(b" l")] != []
    assert found(regex=r"^.$", data=b"\xe5") == [
        token for token in every if token in ("北".encode(), "大".encode(), "学".encode())
    ]
    with pytest.raises(ArgumentError, match="not valid"):
        containing(regex="(")


def test_text_is_none_inside_a_character(tokenizer: Tokenizer) -> None:
    by_token = {one.token: one for one in entries(tokenizer)}
    assert by_token[b"\xe5"].text is None
    assert by_token[b" low"].text == " low"
