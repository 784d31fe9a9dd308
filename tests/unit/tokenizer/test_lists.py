"""Lists of ids share int objects: each list holds its references, and gives them back."""

import gc
import sys

from bytemill import Tokenizer


def test_lists_count_their_references() -> None:
    tokenizer = Tokenizer.train(texts=["low lower lowest"], vocab_size=400)
    last = tokenizer.n_vocab - 1
    merged = tokenizer.decode([last - 1]) * 500  # more ids than the vocabulary has: ints are kept from now on
    ids = tokenizer.encode_ordinary(merged)
    again = tokenizer.encode_ordinary(merged)
    assert ids == again
    assert all(type(one) is int for one in again)
    shared = again[0]
    before = sys.getrefcount(shared)
    third = tokenizer.encode_ordinary(merged)
    assert sys.getrefcount(shared) == before + sum(one is shared for one in third)
    gc.collect()
    third.append(-1)  # an ordinary list, that grows
    assert third[:-1] == ids
    del third
    assert sys.getrefcount(shared) == before
