"""Labelled rows: where the class is read, what is cut and counted, and how labels are balanced."""

from collections import Counter

import pytest

from bytemill.data.rows import encode_labelled, undersampled
from bytemill.data.rows.labels import LabelledBatches, collate_labelled, label_names
from bytemill.errors import DataError

END = 256


class ByteTokenizer:
    eot_token = END

    def encode_ordinary(self, text):
        return list(text.encode())


def encode(rows, labels=("ham", "spam"), max_tokens=20):
    rows = [dict(zip(("text", "label"), row, strict=True)) for row in rows]
    return encode_labelled(rows, ByteTokenizer(), labels=labels, max_tokens=max_tokens)


def test_the_class_is_read_at_the_first_end_of_text() -> None:
    encoded = encode([("Hi", "ham"), ("Win!!", "spam")])
    ids, ends, labels = collate_labelled(encoded.rows, pad_id=END)
    assert ids.tolist() == [[*b"Hi", END, END, END, END], [*b"Win!!", END]]
    assert ends.tolist() == [2, 5]
    assert labels.tolist() == [0, 1]


def test_a_long_text_is_cut_and_keeps_its_end() -> None:
    encoded = encode([("abcdefgh", "ham"), ("abcd", "spam"), ("abc", "ham")], max_tokens=5)
    assert [row.ids.tolist() for row in encoded.rows] == [[*b"abcd", END], [*b"abcd", END], [*b"abc", END]]
    assert encoded.n_cut == 1
    assert encoded.longest == 5


def test_rows_that_cannot_be_used_are_counted_by_reason() -> None:
    encoded = encode([("Hi", "ham"), ("", "ham"), ("x", None), ("x", " "), ("x", "eggs"), (None, "spam")])
    assert encoded.report() == (
        "1 of 6 rows used (1 ham, 0 spam), 0 of them cut; not used: 1 with an empty text, 2 without a label, "
        "1 with the label 'eggs', never seen in training, 1 without a text in text"
    )
    with pytest.raises(DataError, match="no row can be used"):
        encode([("x", "eggs")])


def test_labels_may_be_numbers() -> None:
    assert label_names([{"label": 1}, {"label": True}, {"label": "1"}, {"label": None}]) == ("1", "True")
    assert encode([("x", 1), ("y", 0)], labels=("0", "1")).counts() == [1, 1]


def test_undersampling_takes_as_many_of_each_as_the_rarest_has() -> None:
    rows = [{"label": "abbccc"[i % 6], "text": str(i)} for i in range(60)]
    kept = undersampled(rows, seed=1)
    assert Counter(row["label"] for row in kept) == {"a": 10, "b": 10, "c": 10}
    places = [int(row["text"]) for row in kept]
    assert places == sorted(set(places))
    assert kept == undersampled(rows, seed=1) != undersampled(rows, seed=2)


def test_undersampling_drops_no_unusable_row_uncounted() -> None:
    rows = [{"text": "x", "label": "a"}] * 4 + [{"text": "y", "label": "b"}] * 2
    kept = undersampled(
        [*rows, {"text": " ", "label": "b"}, {"text": "z", "label": None}, {"label": "b", "text": None}]
    )
    assert Counter(row["label"] for row in kept) == {"a": 2, "b": 4, None: 1}


def test_batches_come_in_a_seeded_order_and_go_on_where_they_stopped() -> None:
    rows = encode([(chr(97 + i), ("ham", "spam")[i % 2]) for i in range(5)]).rows
    stream = LabelledBatches(rows, batch_size=2, pad_id=END)
    first, state, second = next(stream), stream.state_dict(), next(stream)
    again = LabelledBatches(rows, batch_size=2, pad_id=END)
    assert all((one == other).all() for one, other in zip(first, next(again), strict=True))
    again.load_state_dict(state)
    assert all((one == other).all() for one, other in zip(second, next(again), strict=True))
