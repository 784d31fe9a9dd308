import itertools
import json

import numpy as np
import pytest

from bytemill.data.rows import (
    Row,
    RowBatches,
    collate,
    encode_rows,
    instruction_prompt,
    read_rows,
    split_rows,
)
from bytemill.errors import DataError

EOT = 256


class ByteTokenizer:
    """Ids are bytes; one special token."""

    eot_token = EOT

    def encode_ordinary(self, text):
        return list(text.encode())


def text_of(ids):
    return bytes(token for token in ids if token < 256).decode()


def test_prompt_with_an_input():
    assert instruction_prompt("Translate.", "The sun.") == (
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nTranslate.\n\n### Input:\nThe sun.\n\n### Response:\n"
    )


def test_prompt_without_an_input():
    expected = (
        "Below is an instruction that describes a task. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nName a colour.\n\n### Response:\n"
    )
    assert instruction_prompt("Name a colour.") == expected
    assert instruction_prompt("Name a colour.", "", template="alpaca_one_header") == expected


def test_one_header_for_both():
    prompt = instruction_prompt("Translate.", "The sun.", template="alpaca_one_header")
    assert prompt.startswith("Below is an instruction that describes a task. Write a response")
    assert prompt.endswith("### Input:\nThe sun.\n\n### Response:\n")


ROWS = [
    {"instruction": "Name a colour.", "input": "", "output": "Blue."},
    {"instruction": "Translate.", "input": "The sun is shining.", "output": "Le soleil brille."},
]


def test_trained_are_the_response_and_one_end_of_text():
    encoded = encode_rows(ROWS, ByteTokenizer(), max_tokens=1024)
    inputs, targets = collate(encoded.rows, pad_id=EOT)
    assert inputs.shape == targets.shape
    for row, ids, labels in zip(ROWS, inputs, targets, strict=True):
        trained = labels[labels != -100]
        assert text_of(trained) == row["output"]
        assert trained[-1] == EOT
        assert (trained == EOT).sum() == 1
        first = int(np.argmax(labels != -100))
        assert text_of(ids[: first + 1]).endswith("### Response:\n")  # the first label's context is the prompt


def test_an_unmasked_prompt_is_trained_too():
    encoded = encode_rows(ROWS, ByteTokenizer(), max_tokens=1024)
    inputs, targets = collate(encoded.rows, pad_id=EOT, mask_prompt=False)
    for i, row in enumerate(ROWS):
        labels = targets[i][targets[i] != -100]
        prompt = instruction_prompt(row["instruction"], row["input"])
        assert text_of(labels) == (prompt + row["output"])[1:]
        assert (labels[:-1] == inputs[i][1 : len(labels)]).all()


def test_the_report_s_example_of_padding():
    """Three rows of unequal length: 50256 fills the inputs; one is a target, the rest are -100."""
    rows = [Row(np.array([*ids, 50256]), 1) for ids in ([0, 1, 2, 3, 4], [5, 6], [7, 8, 9])]
    inputs, targets = collate(rows, pad_id=50256, mask_prompt=False)
    assert inputs.tolist() == [[0, 1, 2, 3, 4], [5, 6, 50256, 50256, 50256], [7, 8, 9, 50256, 50256]]
    assert targets.tolist() == [[1, 2, 3, 4, 50256], [6, 50256, -100, -100, -100], [8, 9, 50256, -100, -100]]


def test_a_long_row_is_cut_and_does_not_learn_to_stop_there():
    prompt = instruction_prompt("Name a colour.")
    encoded = encode_rows(ROWS[:1], ByteTokenizer(), max_tokens=len(prompt) + 2)
    assert encoded.n_cut == 1
    inputs, targets = collate(encoded.rows, pad_id=EOT)
    assert inputs.shape == (1, len(prompt) + 2)
    assert text_of(targets[0][targets[0] != -100]) == "Blu"
    assert EOT not in targets


def test_a_row_that_just_fits_is_whole():
    prompt = instruction_prompt("Name a colour.")
    encoded = encode_rows(ROWS[:1], ByteTokenizer(), max_tokens=len(prompt) + len("Blue."))
    assert encoded.n_cut == 0
    assert encoded.rows[0].ids[-1] == EOT


def test_a_prompt_that_just_leaves_room_for_one_token():
    prompt = instruction_prompt("Name a colour.")
    encoded = encode_rows(ROWS[:1], ByteTokenizer(), max_tokens=len(prompt))
    _, targets = collate(encoded.rows, pad_id=EOT)
    assert text_of(targets[0][targets[0] != -100]) == "B"


def test_rows_that_cannot_be_used_are_counted():
    rows = [
        *ROWS,
        {"instruction": "", "output": "x"},
        {"instruction": "x", "output": " \n"},
        {"instruction": "x", "output": ""},
        {"instruction": "x"},
        {"instruction": 3, "output": "x"},
        {"instruction": "x", "input": 4, "output": "x"},
        {"instruction": "x" * 400, "output": "x"},
        {"instruction": "x", "input": None, "output": "fine"},
    ]
    encoded = encode_rows(rows, ByteTokenizer(), max_tokens=300)
    assert encoded.refused == {
        "with an empty instruction": 1,
        "with an empty output": 2,
        "without a text in output": 1,
        "without a text in instruction": 1,
        "with an input that is not text": 1,
        "with a prompt that alone fills 300 tokens": 1,
    }
    assert encoded.report().startswith("3 of 10 rows used, 0 of them cut; not used: 1 with an empty instruction")


def test_no_usable_row_is_an_error_that_says_why():
    with pytest.raises(DataError, match=r"no row can be trained on: 0 of 1 rows used.*1 with an empty output"):
        encode_rows([{"instruction": "x", "output": ""}], ByteTokenizer(), max_tokens=300)


def numbered(n):
    return [Row(np.array([i, i, EOT]), 1) for i in range(n)]


def flat(lists):
    return list(itertools.chain.from_iterable(lists))


def drawn(stream, n):
    return [next(stream)[0][:, 0].tolist() for _ in range(n)]


def test_every_epoch_holds_every_row_once_in_another_order():
    stream = RowBatches(numbered(10), batch_size=2, pad_id=EOT, seed=3)
    epochs = [flat(drawn(stream, 5)) for _ in range(4)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    other = RowBatches(numbered(10), batch_size=2, pad_id=EOT, seed=4)
    assert flat(drawn(other, 5)) != epochs[0]


@pytest.mark.parametrize("cut", [0, 1, 4, 7, 13])
@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_the_order_survives_resumes_and_changes_of_world_size(cut, world_size):
    """Cut after `cut` rounds of `world_size` processes, go on alone: nothing lost, nothing twice."""
    rows, size = numbered(9), {"batch_size": 2, "pad_id": EOT, "seed": 1}
    whole = drawn(RowBatches(rows, **size), 80)
    ranks = [RowBatches(rows, **size, rank=r, world_size=world_size) for r in range(world_size)]
    before = [batch for _ in range(cut) for batch in (drawn(rank, 1)[0] for rank in ranks)]
    state = json.loads(json.dumps(ranks[0].state_dict()))
    assert all(rank.state_dict() == state for rank in ranks)
    alone = RowBatches(rows, **size)
    alone.load_state_dict(state)
    assert before + drawn(alone, 80 - len(before)) == whole


def test_a_place_in_other_rows_is_refused():
    state = RowBatches(numbered(9), batch_size=2, pad_id=EOT).state_dict()
    with pytest.raises(DataError, match="n_rows was 9 when saved and is 8 now"):
        RowBatches(numbered(8), batch_size=2, pad_id=EOT).load_state_dict(state)
    with pytest.raises(DataError, match="seed was 0 when saved and is 5 now"):
        RowBatches(numbered(9), batch_size=2, pad_id=EOT, seed=5).load_state_dict(state)


def test_splits():
    rows = list(range(1100))
    parts = split_rows(rows, seed=1)
    assert [len(part) for part in parts] == [935, 110, 55]
    assert sorted(flat(parts)) == rows
    assert split_rows(rows, seed=1) == parts
    assert split_rows(rows, seed=2) != parts
    assert split_rows(rows, seed=None)[0] == rows[:935]
    assert [len(part) for part in split_rows(range(1494), (0.7, 0.1, 0.2))] == [1046, 149, 299]
    with pytest.raises(DataError, match="add up to 1"):
        split_rows(rows, (0.5, 0.2))


@pytest.mark.parametrize("at_most", [1, 10, 90, 899, 950, 999, 1000, 2000])
def test_fewer_rows_stay_in_their_parts(at_most):
    whole = split_rows(range(1000))
    fewer = split_rows(range(1000), at_most=at_most)
    assert [len(part) for part in fewer] == [len(part) for part in split_rows(range(min(at_most, 1000)))]
    assert all(set(one) <= set(part) for one, part in zip(fewer, whole, strict=True))


def test_files_of_rows(tmp_path):
    array, lines = tmp_path / "rows.json", tmp_path / "rows.jsonl"
    array.write_text(json.dumps(ROWS))
    lines.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    assert read_rows(array) == read_rows(lines) == ROWS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[", "not JSON in UTF-8"),
        ("[]", "expected a list of at least one object, one per row"),
        ('{"a": 1}', "expected a list of objects"),
        (
            '[{"instruction": "x", "answer": "y"}]',
            "no row has a column 'output'; there are instruction, answer",
        ),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, sentence):
    file = tmp_path / "rows.json"
    file.write_text(content)
    with pytest.raises(DataError) as caught:
        read_rows(file)
    assert str(caught.value).startswith(str(file))
    assert sentence in str(caught.value)
    with pytest.raises(DataError, match=r"absent\.json: the rows cannot be read: No such file"):
        read_rows(tmp_path / "absent.json")


def test_real_rows_of_the_book(shared_data):
    rows = read_rows(shared_data("llms_from_scratch/instruction-data.json"))
    assert [len(part) for part in split_rows(rows)] == [935, 110, 55]
    encoded = encode_rows(rows, ByteTokenizer(), max_tokens=1024)
    assert len(encoded.rows) + sum(encoded.refused.values()) == 1100
    stream = RowBatches(encoded.rows, batch_size=8, pad_id=EOT)
    for _ in range(20):
        inputs, targets = next(stream)
        assert (targets != -100).any(axis=1).all()
        assert ((targets == EOT).sum(axis=1) == 1).all()
        assert inputs.shape[1] <= 1024
