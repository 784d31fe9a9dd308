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


def test_a_list_of_a_million_ids_is_a_list_like_any_other() -> None:
    tokenizer = Tokenizer.train(texts=["low lower lowest"], vocab_size=400)
    text = "low lower lowest and more " * 100_000
    ids = tokenizer.encode_ordinary(text)
    assert len(ids) > 1_000_000  # its places are on pages of their own
    assert ids == tokenizer.encode_to_numpy(text).tolist()
    shared = ids[1]
    n_references = sys.getrefcount(shared) - ids.count(shared)
    grown = list(ids)
    for one in (ids, grown):
        one.extend(range(1000))
        one.insert(3, 7)
        del one[1000:2000]
        one[5:5] = [1, 2, 3] * 1000
        one.reverse()
        one.sort()
    assert ids == grown
    del grown, one
    ids.clear()
    ids.append(1)
    assert ids == [1]
    assert sys.getsizeof(ids) < 1000
    assert sys.getrefcount(shared) == n_references
