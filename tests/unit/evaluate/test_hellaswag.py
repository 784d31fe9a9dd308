"""HellaSwag against a plain reference: build-nanogpt's rule, one row at a time, one token at a time."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bytemill import Tokenizer
from bytemill.errors import DataError
from bytemill.evaluate.hellaswag import HellaSwagItem, ending_losses, hellaswag_score, read_hellaswag
from bytemill.model import GPT2, GPT2Config
from console_blocks import call_bytemill

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
    context_ids, ending_ids = list(context.encode()), list((" " + ending).encode())
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


@torch.no_grad()
def build_nanogpt_choice(model: GPT2, encode: Callable[[str], list[int]], item: HellaSwagItem) -> int:
    """build-nanogpt's hellaswag.py in its own steps: rows and masks padded with zeros, shifted, the mean's minimum."""
    context_ids = encode(item.context)
    endings = [encode(" " + ending) for ending in item.endings]
    width = max(len(context_ids) + len(ending) for ending in endings)
    tokens, mask = torch.zeros(4, width, dtype=torch.long), torch.zeros(4, width)
    for row, ending in enumerate(endings):
        ids = context_ids + ending
        tokens[row, : len(ids)] = torch.tensor(ids)
        mask[row, len(context_ids) : len(ids)] = 1
    logits = model(tokens)[0][:, :-1]
    losses = F.cross_entropy(logits.transpose(1, 2), tokens[:, 1:], reduction="none") * mask[:, 1:]
    return int((losses.sum(dim=1) / mask[:, 1:].sum(dim=1)).argmin())


def test_choices_are_those_of_build_nanogpt_spaces_before_endings_included(
    gpt2: Tokenizer, shared_data: Callable[[str], Path]
) -> None:
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=50_257, n_positions=256, n_embd=8, n_layer=1, n_head=1, initializer_range=0.5))
    items = read_hellaswag(shared_data(ITEMS))
    spaced = [item for item in items if any(ending.startswith(" ") for ending in item.endings)]
    assert len(spaced) > 250
    chosen = [item for item in spaced if len(item.context) < 200][:40]
    choices = [build_nanogpt_choice(model, gpt2.encode_ordinary, item) for item in chosen]
    losses = ending_losses(model, gpt2, chosen, n_positions=256)
    assert losses.argmin(dim=1).tolist() == choices
    n_right = sum(choice == item.label for choice, item in zip(choices, chosen, strict=True))
    assert hellaswag_score(model, gpt2, chosen, n_positions=256).n_right == n_right
    stripped = ending_losses(model, gpt2, chosen, n_positions=256, strip_endings=True)
    assert stripped.argmin(dim=1).tolist() != choices


def test_stripped_endings_lose_the_spaces_at_their_start(model: GPT2) -> None:
    spaced, bare = (HellaSwagItem("He", (f"{space}sits", "a", "b", "c"), 0) for space in ("  ", ""))
    losses = [ending_losses(model, Bytes(), [item], n_positions=128, strip_endings=True) for item in (spaced, bare)]
    assert torch.equal(*losses)
    assert not torch.equal(ending_losses(model, Bytes(), [spaced], n_positions=128), losses[0])


def test_the_command_strips_endings_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer = Tokenizer.train(texts=["a city"], vocab_size=258)
    tokenizer.save(tmp_path / "tokenizer.json")
    torch.manual_seed(1)
    model = GPT2(GPT2Config(vocab_size=258, n_positions=64, n_embd=8, n_layer=1, n_head=1, initializer_range=0.5))
    model.save_huggingface(tmp_path / "model")
    endings = ["runs.", "  sits.", "   looks up.", "goes."]
    items = [HellaSwagItem(f"The man number {n}", tuple(endings), 1) for n in range(30)]
    lines = [{"ctx": item.context, "endings": item.endings, "label": item.label} for item in items]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    command = "eval hellaswag --json -m model -t tokenizer.json -d items.jsonl".replace(
        " model ", f" {tmp_path}/model "
    )
    command = command.replace(" tokenizer", f" {tmp_path}/tokenizer").replace(" items", f" {tmp_path}/items")
    found = []
    for options in ([], ["--strip"]):
        assert call_bytemill([*command.split(), *options]) == 0
        found.append(json.loads(capsys.readouterr().out)["n_right"])
    scores = [
        hellaswag_score(model, tokenizer, items, n_positions=64, strip_endings=strips) for strips in (False, True)
    ]
    assert found == [score.n_right for score in scores]
    assert found[0] != found[1]


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
    with pytest.raises(DataError, match="contains no items"):
        read_hellaswag(tmp_path / "items.jsonl")
    with pytest.raises(DataError, match="leaves no room for its context"):
        ending_losses(model, Bytes(), [HellaSwagItem("a", ("b" * 128,) * 4, 0)], n_positions=128)
    with pytest.raises(DataError, match="the context of the ending 'b' is empty"):
        ending_losses(model, Bytes(), [HellaSwagItem("", ("b",) * 4, 0)], n_positions=128)
