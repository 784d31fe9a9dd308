"""What broke at the border between Python and the core, named by what broke."""

from __future__ import annotations

from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import numpy as np
import pytest

from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(texts=["to be or not to be " * 20], vocab_size=270)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", ">u2", ">i4", ">u4", ">i8", ">u8"])
def test_integer_arrays_of_any_width_and_byte_order_were_refused(tokenizer: Tokenizer, dtype: str) -> None:
    ids = np.array([104, 105], dtype=dtype)
    assert tokenizer.decode(ids) == "hi"
    assert tokenizer.decode(np.tile(ids, 2)[::-1]) == "ihih"


def test_arrays_that_are_not_aligned_were_read_as_if_they_were(tokenizer: Tokenizer) -> None:
    packed = np.zeros(3, dtype=np.dtype([("pad", "u1"), ("id", "u4")]))
    packed["id"] = [104, 105, 33]
    assert not packed["id"].flags.aligned
    assert tokenizer.decode(packed["id"]) == "hi!"


def test_an_object_that_pretends_to_be_a_tensor_overflowed_the_stack(tokenizer: Tokenizer) -> None:
    with pytest.raises(TypeError):
        tokenizer.decode(MagicMock())


@pytest.mark.parametrize("ids", [[-1], [2**32], np.array([-1]), np.array([2**32], dtype=np.uint64)])
def test_ids_out_of_range_are_named(tokenizer: Tokenizer, ids: object) -> None:
    with pytest.raises(DataError, match="at position 0 is out of range"):
        tokenizer.decode(ids)  # type: ignore[arg-type]


def test_errors_of_an_ids_own_index_method_were_taken_for_ranges(tokenizer: Tokenizer) -> None:
    class Broken:
        def __index__(self) -> int:
            raise RuntimeError("own error")

    with pytest.raises(RuntimeError, match="own error"):
        tokenizer.decode([Broken()])  # type: ignore[list-item]


@pytest.mark.parametrize("threads", [2**60, 2**63, 2**64 - 1])
def test_absurd_numbers_of_threads_divided_by_zero(tokenizer: Tokenizer, tmp_path: Path, threads: int) -> None:
    assert tokenizer.encode_batch(["to be", "or not"], threads=threads) == tokenizer.encode_batch(["to be", "or not"])
    (tmp_path / "a.txt").write_text("to be or not to be\n" * 100)
    assert len(tokenizer.encode_file(tmp_path / "a.txt", threads=threads)) > 0
    prepare(tmp_path / "a.txt", tmp_path / "shards", tokenizer=tokenizer, threads=threads)


def test_shards_whose_val_share_is_no_short_decimal_were_refused_when_prepared_again(
    tokenizer: Tokenizer, tmp_path: Path
) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "to be or not to be"}\n' * 40)
    for n in range(3, 200, 7):
        share = 1 / n + 0.1
        made = prepare(tmp_path / "a.jsonl", tmp_path / f"{n}", tokenizer=tokenizer, val=share)
        assert prepare(tmp_path / "a.jsonl", tmp_path / f"{n}", tokenizer=tokenizer, val=share) == made
