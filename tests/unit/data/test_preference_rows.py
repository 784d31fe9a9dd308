"""Pairs of answers: which tokens count, and which rows cannot be used."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bytemill.data.rows import Row, RowBatches, instruction_prompt, split_rows
from bytemill.data.rows.pairs import (
    Pair,
    PairBatches,
    collate_pairs,
    encode_pairs,
    preference_parts,
    read_preferences,
)
from bytemill.data.rows.templates import Part
from bytemill.errors import DataError

EOT = 256


class ByteTokenizer:
    """Ids are bytes; one special token."""

    eot_token = EOT

    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode())


def row(chosen: object = "Paris.", rejected: object = "Obviously Paris.", **more: object) -> dict[str, object]:
    return {"instruction": "Capital of France?", "input": "", "chosen": chosen, "rejected": rejected, **more}


def encoded(*rows: dict[str, object], max_tokens: int = 400):
    return encode_pairs(rows, ByteTokenizer(), max_tokens=max_tokens)


def labelled(inputs: np.ndarray, targets: np.ndarray) -> str:
    """The text of what carries a label, the end-of-text as a bar."""
    assert inputs.shape == targets.shape
    return "".join("|" if label == EOT else chr(label) for label in targets if label != -100)


def test_each_answer_has_a_mask_of_its_own_and_one_end() -> None:
    inputs, targets = collate_pairs(encoded(row(), row("Yes.", "No, never ever.")).pairs, pad_id=EOT)
    assert [labelled(*pair) for pair in zip(inputs, targets, strict=True)] == [
        "Paris.|",
        "Yes.|",
        "Obviously Paris.|",
        "No, never ever.|",
    ]
    prompt = instruction_prompt("Capital of France?")
    assert all(bytes(ids[: len(prompt)].tolist()).decode() == prompt for ids in inputs)
    assert (targets[:, : len(prompt) - 1] == -100).all()
    assert (targets[:, len(prompt) - 1] != -100).all()  # the prompt's end predicts the answer's first token


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (row("same", "same"), "with chosen equal to rejected"),
        (row(" \n", "a"), "with an empty chosen"),
        (row("a", ""), "with an empty rejected"),
        (row("a", None), "without a text in rejected"),
        (row(3, "a"), "without a text in chosen"),
        (row(instruction=" "), "with an empty instruction"),
        (row(input=["x"]), "with an input that is not text"),
        (row(instruction="x" * 500), "with a prompt that alone fills 400 tokens"),
        (row("a" * 400 + "b", "a" * 400 + "c"), "whose answers are equal within 400 tokens"),
        (
            {"messages": [], "chosen": "a", "rejected": "b"},
            "whose turns do not alternate between user and assistant, starting with user and ending with assistant",
        ),
        ({"messages": "Hi!", "chosen": "a", "rejected": "b"}, "without messages"),
    ],
)
def test_rows_that_teach_nothing_are_counted_by_reason(bad: dict[str, object], reason: str) -> None:
    found = encoded(row(), bad, bad)
    assert found.report() == f"1 of 3 pairs used, 0 of them cut; not used: 2 {reason}"
    with pytest.raises(DataError, match="no row can be trained on: 0 of 1 pairs used"):
        encoded(bad)


def test_an_answer_that_is_too_long_is_cut_and_has_no_end() -> None:
    found = encoded(row("Paris.", "x" * 500))
    assert (found.n_cut, len(found.pairs[0].rejected.ids)) == (1, 401)
    inputs, targets = collate_pairs(found.pairs, pad_id=EOT)
    assert labelled(inputs[0], targets[0]) == "Paris.|"
    assert set(labelled(inputs[1], targets[1])) == {"x"}


TURNS = [
    {"from": "human", "value": "Hi!"},
    {"from": "gpt", "value": "Hello."},
    {"from": "human", "value": "Bye!"},
]


def test_the_turns_before_an_answer_are_its_prompt() -> None:
    row = {"messages": TURNS, "chosen": {"from": "gpt", "value": "So long."}, "rejected": "?"}
    parts = [
        Part((instruction_prompt("Hi!"),), is_answer=False),
        Part(("Hello.", ""), is_answer=True),
        Part(("\n\n### Instruction:\nBye!\n\n### Response:\n",), is_answer=False),
    ]
    assert preference_parts(row) == (parts, Part(("So long.", ""), is_answer=True), Part(("?", ""), is_answer=True))
    (pair,) = encoded(row).pairs
    prompt = pair.chosen.ids[: pair.chosen.n_prompt].tolist()
    assert prompt == [*parts[0].text.encode(), *b"Hello.", EOT, *parts[2].text.encode()]
    assert pair.rejected.ids[pair.rejected.n_prompt :].tolist() == [*b"?", EOT]


def test_a_template_with_marks_puts_them_around_both_answers() -> None:
    row = {"messages": TURNS[:1], "chosen": "Yes.", "rejected": "No."}
    parts, *answers = preference_parts(row, template="chatml_text")
    assert parts[-1].text == "\n<|im_start|>assistant\n"
    assert [answer.text for answer in answers] == ["Yes.<|im_end|>", "No.<|im_end|>"]


def test_pairs_come_in_the_order_of_rows() -> None:
    rows = [Row(np.array([i, EOT]), 1) for i in range(7)]
    pairs = [Pair(one, Row(np.array([one.ids[0], 3, EOT]), 1)) for one in rows]
    stream = PairBatches(pairs, batch_size=3, pad_id=EOT, seed=5)
    plain = RowBatches(rows, batch_size=3, pad_id=EOT, seed=5)
    for _ in range(4):
        inputs, other = next(stream)[0], next(plain)[0]
        assert inputs[:3, 0].tolist() == inputs[3:, 0].tolist() == other[:, 0].tolist()
    assert stream.state_dict() == plain.state_dict()


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), min_size=1, max_size=8))
def test_every_row_is_used_or_counted(answers: list[tuple[str, str]]) -> None:
    rows = [row(*pair) for pair in answers]
    try:
        found = encoded(*rows)
    except DataError:
        return
    assert len(found.pairs) + sum(found.refused.values()) == found.n_given == len(rows)
    usable = [pair for pair in answers if all(text.strip() for text in pair) and pair[0] != pair[1]]
    inputs, targets = collate_pairs(found.pairs, pad_id=EOT)
    told = [bytes(label for label in targets[i] if 0 <= label < 256).decode() for i in range(len(inputs))]
    assert told == [chosen for chosen, _ in usable] + [rejected for _, rejected in usable]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('[{"instruction": "a", "chosen": "b"}]', "no row has a column 'rejected'; there are instruction, chosen"),
        ('[{"chosen": "a", "rejected": "b"}]', "no row has a column 'instruction' or 'messages'; there are"),
        ("[]", "expected a list of at least one object, one per row"),
        ("{", "not JSON in UTF-8"),
    ],
)
def test_a_file_of_another_form_is_named(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "rows.json"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{path}: {sentence}"):
        read_preferences(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_preferences(tmp_path / "nothing.jsonl")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"question": "Hi!", "chosen": "a", "rejected": "b"}]))
    with pytest.raises(DataError, match="no row has a column 'instruction' or 'conversations'; there are question"):
        read_preferences(path, names={"messages": "conversations"})
    assert read_preferences(path, names={"instruction": "question"})[0]["instruction"] == "Hi!"


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row()) + "\n" for _ in range(3)))
    assert read_preferences(path) == [row()] * 3


def test_the_book_s_preferences(shared_data: Callable[[str], Path]) -> None:
    rows = read_preferences(shared_data("llms_from_scratch/instruction-data-with-preference.json"))
    assert [len(part) for part in split_rows(rows)] == [935, 110, 55]
    assert encoded(*rows, max_tokens=1024).report() == (
        "1094 of 1100 pairs used, 0 of them cut; not used: 6 with chosen equal to rejected"
    )


def test_conversations_of_the_demo(shared_data: Callable[[str], Path]) -> None:
    rows = read_preferences(shared_data("preference/dpo_en_demo.json"), names={"messages": "conversations"})
    found = encoded(*rows, max_tokens=50_000)
    assert (len(found.pairs), found.n_cut, found.refused) == (300, 0, {})
