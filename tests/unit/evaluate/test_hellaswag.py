"""HellaSwag against a plain reference: one row at a time, one token at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bytemill.errors import DataError
from bytemill.evaluate.hellaswag import HellaSwagItem, ending_losses, hellaswag_score, read_hellaswag
from bytemill.model import GPT2, GPT2Config

ITEMS = "hellaswag/hellaswag_val_1000.jsonl"


class Bytes:
    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode())


@pytest.fixture(scope="module")
def model() -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=256, n_positions=128, n_embd=16, n_layer=1, n_head=2, initializer_range=0.2))


@torch.no_grad()
def plain_loss(model: GPT2, context: str, ending: str) -> float:
    context_ids, ending_ids = list(context.encode()), list((" " + ending.lstrip()).encode())
    ids = (context_ids + ending_ids)[-model.config.n_positions :]
    losses = []
    for place in range(len(ids) - len(ending_ids), len(ids)):
        logits = model(torch.tensor([ids[:place]]))[0][0, -1]
        losses.append(-float(torch.log_softmax(logits, dim=-1)[ids[place]]))
    return sum(losses) / len(losses)


def check_against_the_plain_loss(model: GPT2, items: list[HellaSwagItem]) -> None:
    n_right, n_positions = 0, model.config.n_positions
    for item, row in zip(items, ending_losses(model, Bytes(), items, n_positions=n_positions).tolist(), strict=True):
        plain = [plain_loss(model, item.context, ending) for ending in item.endings]
        assert row == pytest.approx(plain, abs=1e-4)
        n_right += plain.index(min(plain)) == item.label
    score = hellaswag_score(model, Bytes(), items, n_positions=n_positions, batch_items=3)
    assert (score.n_right, score.n_items) == (n_right, len(items))


def test_losses_equal_a_plain_reference(model: GPT2) -> None:
    items = [
        HellaSwagItem("A man sits.", ("He stands.", " He sings a long song.", "ü", "No"), 2),
        HellaSwagItem("x" * 300, ("one", "two", "three", "four and more"), 0),
    ]
    check_against_the_plain_loss(model, items)


@pytest.mark.long
def test_losses_of_a_thousand_items_equal_a_plain_reference(shared_data: Callable[[str], Path]) -> None:
    torch.manual_seed(1)
    wide = GPT2(GPT2Config(vocab_size=256, n_positions=1024, n_embd=8, n_layer=1, n_head=2, initializer_range=0.2))
    items = read_hellaswag(shared_data(ITEMS))
    assert len(items) == 1000
    check_against_the_plain_loss(wide, items)


def test_losses_of_real_items_equal_a_plain_reference(model: GPT2, shared_data: Callable[[str], Path]) -> None:
    items = [item for item in read_hellaswag(shared_data(ITEMS)) if _fits(item)][:10]
    check_against_the_plain_loss(model, items)


def _fits(item: HellaSwagItem) -> bool:
    return max(len(ending.encode()) for ending in item.endings) < 120


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "line 2: not JSON in UTF-8"),
        ('{"ctx": "a", "endings": ["b"]}', "line 2: expected an object"),
        ('{"ctx": "a", "endings": ["b"], "label": 0}', "line 2: expected four endings"),
        ('{"ctx": "a", "endings": ["b", "c", "d", "e"], "label": 4}', "a label from 0 to 3"),
    ],
)
def test_a_line_that_is_no_item_is_named(tmp_path: Path, line: str, sentence: str) -> None:
    good = json.dumps({"ctx": "a", "endings": ["b", "c", "d", "e"], "label": 1})
    (tmp_path / "items.jsonl").write_text(f"{good}\n{line}\n")
    with pytest.raises(DataError, match=sentence):
        read_hellaswag(tmp_path / "items.jsonl")


def test_a_line_separator_inside_an_item_ends_no_line(tmp_path: Path) -> None:
    item = {"ctx": "one\u2028two\x85", "endings": ["a"] * 4, "label": 1}
    (tmp_path / "items.jsonl").write_text(json.dumps(item, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_hellaswag(tmp_path / "items.jsonl")[0].context == "one\u2028two\x85"


def test_no_items_and_no_room_are_errors(model: GPT2, tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text("\n")
    with pytest.raises(DataError, match="holds no item"):
        read_hellaswag(tmp_path / "items.jsonl")
    with pytest.raises(DataError, match="leaves no room for its context"):
        ending_losses(model, Bytes(), [HellaSwagItem("a", ("b" * 128,) * 4, 0)], n_positions=128)
    with pytest.raises(DataError, match="the context of the ending 'b' is empty"):
        ending_losses(model, Bytes(), [HellaSwagItem("", ("b",) * 4, 0)], n_positions=128)
