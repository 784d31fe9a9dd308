"""Models' answers: batches equal single prompts, files go on where they were cut off, tables and losses."""

import json
import sys
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.cli.several_models import named, part_of
from bytemill.data.rows import Row, collate, split_rows
from bytemill.errors import ArgumentError, ConfigError, DataError
from bytemill.evaluate.answers import RESPONSE, read_answer_sets, read_answers, write_answers
from bytemill.evaluate.loss import held_out_loss
from bytemill.evaluate.matrix import LossMatrix, data_set_losses, draw_data_set
from bytemill.evaluate.prompts import DEFAULT_PROMPTS, Prompt, PromptTable, answers_to, row_prompts
from bytemill.inference import TextGenerator
from bytemill.inference.batches import complete_all
from bytemill.model import GPT2, GPT2Config
from bytemill.report.evaluation import matrix_page, prompts_page

EOT = 256


class ByteTokenizer:
    """Ids are bytes; one special token."""

    eot_token = EOT
    n_vocab = EOT + 1

    def encode_ordinary(self, text: str) -> list[int]:
        return list(text.encode())

    def decode_bytes(self, ids: Any) -> bytes:
        return bytes(i for i in ids if i < EOT)


def tiny_model(seed: int = 0, n_positions: int = 400) -> GPT2:
    torch.manual_seed(seed)
    return GPT2(GPT2Config(vocab_size=EOT + 1, n_positions=n_positions, n_embd=16, n_layer=1, n_head=2))


@pytest.fixture
def generator() -> TextGenerator:
    return TextGenerator(tiny_model(), ByteTokenizer())


def test_prompts_of_a_batch_are_continued_as_if_alone(generator: TextGenerator) -> None:
    prompts = ["abc", "xyz", "a longer prompt", "", "b", "mno", "c"]
    together = dict(complete_all(generator, prompts, batch_size=2, max_new_tokens=6, temperature=0))
    assert together == {
        number: generator.complete(prompt, max_new_tokens=6, temperature=0)[0] for number, prompt in enumerate(prompts)
    }


ROWS = [{"instruction": f"Say {n}.", "input": "", "output": str(n)} for n in (1, 22, 3, 44, 5)]


def test_answers_go_on_where_they_were_cut_off(
    tmp_path: Path, generator: TextGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = write_answers(generator, ROWS, tmp_path / "whole.json", model_name="m", max_new_tokens=4, temperature=0)
    assert [list(row) for row in whole] == [["instruction", "input", "output", RESPONSE]] * 5
    assert read_answers(tmp_path / "whole.json") == whole

    class CutOffError(Exception):
        pass

    def stop(n_done: int) -> None:
        if n_done == 3:
            raise CutOffError

    path, part = tmp_path / "part.json", tmp_path / "part.json.part"
    how: dict[str, Any] = {"model_name": "m", "max_new_tokens": 4, "temperature": 0}
    with pytest.raises(CutOffError):
        write_answers(generator, ROWS, path, batch_size=2, shown=stop, **how)
    assert not path.exists()
    assert len(part.read_text().splitlines()) == 1 + 3
    with pytest.raises(ConfigError, match='contains the results of another task: model was "m", and is "other" now'):
        write_answers(generator, ROWS, path, **(how | {"model_name": "other"}))
    asked: list[torch.Size] = []
    real = generator.complete_ids
    monkeypatch.setattr(
        generator, "complete_ids", lambda ids, **options: (asked.append(ids.shape), real(ids, **options))[1]
    )
    assert write_answers(generator, ROWS, path, **how) == whole
    assert sum(shape[0] for shape in asked) == 2
    assert path.read_text() == (tmp_path / "whole.json").read_text()
    assert not part.exists()


def test_rows_that_json_cannot_spell_are_answered(tmp_path: Path, generator: TextGenerator) -> None:
    row = {"instruction": "Say a.", "output": "\ud83d", "day": date(2026, 11, 22)}
    write_answers(generator, [row], tmp_path / "a.json", model_name="m", max_new_tokens=2, temperature=0)
    (read,) = read_answers(tmp_path / "a.json")
    assert (read["output"], read["day"]) == ("\ud83d", "2026-11-22")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "expected a list of at least one object, one per row"),
        ("{", "not JSON in UTF-8"),
        ('[{"instruction": "a", "output": "b"}]', "row 1 has no text in 'model_response'; it has instruction, output"),
    ],
)
def test_answers_of_another_form_are_named(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "answers.json"
    path.write_text(content)
    with pytest.raises(DataError, match=f"^{path}: {sentence}"):
        read_answers(path)


def test_continuations_are_read_from_lists_and_lines(tmp_path: Path) -> None:
    rows = [{"prompt": "Once", "text": " upon a time", "step": 4}, {"prompt": "", "text": "The"}]
    (tmp_path / "samples.json").write_text(json.dumps(rows))
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    expected = [{"prompt": "Once", RESPONSE: " upon a time"}, {"prompt": "", RESPONSE: "The"}]
    assert read_answers(tmp_path / "samples.json") == expected
    assert read_answers(tmp_path / "samples.jsonl") == expected
    (tmp_path / "samples.json").write_text(json.dumps([rows[0], {"prompt": "Once"}]))
    with pytest.raises(DataError, match=r"samples\.json: row 2 has no text in 'text'; it has prompt"):
        read_answers(tmp_path / "samples.json")


def test_a_battery_s_json_holds_the_answers_of_several_models(tmp_path: Path) -> None:
    prompts = [Prompt("Once", "Once"), *row_prompts(ROWS[:1])]
    table = PromptTable(prompts, {"a": ["upon", "1"], "b": ["more", "2"]})
    (tmp_path / "battery.json").write_text(json.dumps(table.as_json()))
    assert read_answer_sets("battery.json", tmp_path / "battery.json") == {
        name: [{"prompt": "Once", RESPONSE: said}, {"instruction": "Say 1.", "output": "1", RESPONSE: number}]
        for name, said, number in (("a", "upon", "1"), ("b", "more", "2"))
    }
    for broken, sentence in (
        ({"prompts": []}, "expected a list of rows, or prompts and answers"),
        ({"prompts": [{"label": "a", "text": "a"}], "answers": {"a": []}}, "a: expected a list of 1 answers"),
        ({"prompts": ["a"], "answers": {"a": ["b"]}}, "a: prompt 1 or its answer is not text"),
    ):
        (tmp_path / "battery.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match=sentence):
            read_answer_sets("battery.json", tmp_path / "battery.json")


def test_the_book_s_responses_are_read(shared_data: Callable[[str], Path]) -> None:
    rows = read_answers(shared_data("llms_from_scratch/instruction-data-with-response.json"))
    assert rows[0][RESPONSE] == "The car is as fast as a bullet."


def test_the_ten_prompts() -> None:
    assert len(DEFAULT_PROMPTS) == 10
    assert [prompt.text.endswith("### Response:\n") for prompt in DEFAULT_PROMPTS] == [False] * 6 + [True] * 4
    assert all("paired with an input" in prompt.text for prompt in DEFAULT_PROMPTS[6:])
    assert DEFAULT_PROMPTS[3].text == "Here are three tips for a good meal: 1 fresh ingredients. 2"
    assert "- Attend team meeting at 3 PM- Take" in DEFAULT_PROMPTS[8].text


def test_a_table_of_prompts(generator: TextGenerator) -> None:
    prompts = [Prompt("Hi", "Hi"), *row_prompts(ROWS[:1])]
    other = TextGenerator(tiny_model(seed=1), ByteTokenizer())
    answers = {
        name: answers_to(prompts, one, max_new_tokens=5, seed=3) for name, one in (("a", generator), ("b", other))
    }
    assert answers["a"] == answers_to(prompts, generator, max_new_tokens=5, seed=3)
    assert answers["a"][1:] == answers_to(prompts[1:], generator, max_new_tokens=5, seed=3)
    table = PromptTable(prompts, answers)
    assert table.as_markdown().splitlines()[:2] == ["| prompt | expected answer | a | b |", "| --- | --- | --- | --- |"]
    assert len(table.as_markdown().splitlines()) == 4 + 1 + 4
    assert table.as_json()["answers"] == answers
    html = prompts_page(table).html()
    assert (html.count("<h4>a</h4>"), html.count("<h4>expected answer</h4>")) == (2, 1)


def test_the_right_answer_does_not_share_a_heading_with_the_reference_model() -> None:
    table = PromptTable([Prompt("Hi", "Hi", "Hello.")], {"reference": ["Go."], "preferred": ["Hello!"]})
    assert table.as_markdown().splitlines()[0] == "| prompt | expected answer | reference | preferred |"
    html = prompts_page(table).html()
    assert (html.count("<h4>expected answer</h4>"), html.count("<h4>reference</h4>")) == (1, 1)


def test_a_table_of_prompts_shows_how_long_each_model_s_answers_are() -> None:
    prompts = [Prompt(str(n), str(n)) for n in range(4)]
    table = PromptTable(prompts, {"base": ["", "a b c d", "a", "a b c"], "tuned": ["one two"] * 4})
    assert table.as_markdown().splitlines()[-4:] == [
        "| answers | mean words | median | min | max |",
        "| --- | --- | --- | --- | --- |",
        "| base | 2.0 | 2.0 | 0 | 4 |",
        "| tuned | 2.0 | 2.0 | 2 | 2 |",
    ]
    assert table.as_json()["lengths"]["base"] == {"mean": 2.0, "median": 2.0, "min": 0, "max": 4}
    assert "mean words" in prompts_page(table).html()


def test_a_chosen_answer_is_an_expected_answer_too() -> None:
    row = {"instruction": "Say.", "input": "this", "chosen": "yes", "rejected": "no"}
    (prompt,) = row_prompts([row])
    assert (prompt.label, prompt.expected_answer) == ("Say.\nthis", "yes")


def files(folder: Path) -> dict[str, str]:
    (folder / "rows.json").write_text(json.dumps(ROWS))
    lines = "".join(f'"a review, number {n}",{n % 2}\n' for n in range(8))
    (folder / "texts.csv").write_text(f"text,label\n{lines}")
    (folder / "book.txt").write_text("It was a dark and stormy night. " * 10)
    return {name: str(folder / name) for name in ("rows.json", "texts.csv", "book.txt")}


def test_the_matrix_is_the_mean_loss_of_the_drawn_rows(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer()
    sets = [
        draw_data_set(name, place, tokenizer, n_rows=4, max_tokens=200, seed=7)
        for name, place in files(tmp_path).items()
    ]
    again = draw_data_set("rows", str(tmp_path / "rows.json"), tokenizer, n_rows=4, max_tokens=200, seed=7)
    assert again.encoded.fingerprint() == sets[0].encoded.fingerprint()
    assert [one.n_rows for one in sets] == [4, 4, 2]
    models = {"a": tiny_model(), "b": tiny_model(seed=1)}
    losses = {name: data_set_losses(model, sets, pad_id=EOT, batch_size=3) for name, model in models.items()}
    for name, model in models.items():
        for one, loss in zip(sets, losses[name], strict=True):
            alone = [collate([row], pad_id=EOT) for row in one.encoded.rows]
            assert loss == pytest.approx(held_out_loss(model, alone).mean, rel=1e-5)
    matrix = LossMatrix(sets, losses)
    assert matrix.as_markdown().splitlines()[2] == "| a | " + " | ".join(f"{loss:.4f}" for loss in losses["a"]) + " |"
    assert matrix.as_json()["data_sets"][1] == {
        "name": "texts.csv",
        "n_rows": 4,
        "rows": "4 of 4 rows used, 0 of them cut",
    }
    assert "texts.csv (4 rows)" in matrix_page(matrix).html()


def labels(row: Row) -> str:
    inputs, targets = collate([row], pad_id=EOT)
    assert inputs.shape == targets.shape
    return "".join("|" if label == EOT else chr(label) for label in targets[0] if label != -100)


def test_which_tokens_a_data_set_counts(tmp_path: Path) -> None:
    drawn = {
        name: draw_data_set(name, place, ByteTokenizer(), n_rows=9, max_tokens=200)
        for name, place in files(tmp_path).items()
    }
    assert {labels(row) for row in drawn["rows.json"].encoded.rows} == {"1|", "22|", "3|", "44|", "5|"}
    assert "a review, number 3|" in {labels(row) for row in drawn["texts.csv"].encoded.rows}
    text = "It was a dark and stormy night. " * 10
    windows = sorted(drawn["book.txt"].encoded.rows, key=lambda row: -len(row.ids))
    assert [labels(row) for row in windows] == [text[1:201], text[201:]]


def test_parts_of_the_rows_are_those_of_tuning(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([{"instruction": "a", "output": f"{n:02}"} for n in range(40)]))
    parts = {
        split: draw_data_set("x", str(path), ByteTokenizer(), n_rows=99, max_tokens=200, split=split)
        for split in ("train", "test", "val", "all")
    }
    found = {split: {labels(row) for row in one.encoded.rows} for split, one in parts.items()}
    assert [len(one) for one in found.values()] == [34, 4, 2, 40]
    assert found["train"] | found["test"] | found["val"] == found["all"]
    draw = partial(draw_data_set, "x", str(path), ByteTokenizer(), n_rows=99, max_tokens=200, split="test")
    assert {labels(row) for row in draw(seed=7).encoded.rows} == found["test"]
    assert {labels(row) for row in draw(split_seed=7).encoded.rows} != found["test"]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.json", '[{"a": 1}]', "needs the columns 'instruction' and 'output', or 'text'; it has a"),
        ("a.txt", "", "has 0 tokens, expected at least two"),
        ("missing.txt", None, "cannot be read: No such file"),
        ("b.json", '[{"text": " "}]', r"b\.json: no row can be trained on: .* 1 with an empty text"),
    ],
)
def test_a_source_that_cannot_be_measured_is_named(
    tmp_path: Path, name: str, content: str | None, sentence: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        draw_data_set("x", str(tmp_path / name), ByteTokenizer(), n_rows=2, max_tokens=20)


def test_names_of_models() -> None:
    assert named(["runs/a", "b=runs/c", "x/d", "y/d"]) == {"a": "runs/a", "b": "runs/c", "x/d": "x/d", "y/d": "y/d"}
    with pytest.raises(ArgumentError, match="have the same name; give one as NAME=PLACE"):
        named(["runs/a", "runs/a"])


def test_a_part_without_rows_is_named(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(ROWS[:1]))
    with pytest.raises(DataError, match=r"one\.json: 1 rows are too few for a test part"):
        part_of(tmp_path / "one.json", "test", [], 0)


def test_a_row_without_an_instruction_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([*ROWS, {"output": "?"}]))
    with pytest.raises(DataError, match="row 6: 'instruction' is missing or not text"):
        part_of(tmp_path / "rows.json", "all", [], 0)
    (tmp_path / "rows.json").write_text(json.dumps([{"instruction": str(n)} for n in range(20)]))
    parts = [part_of(tmp_path / "rows.json", split, [], 3) for split in ("train", "test", "val")]
    assert [len(part) for part in parts] == [17, 2, 1]
    assert parts[1] == split_rows([{"instruction": str(n)} for n in range(20)], seed=3)[1]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer.train(texts=["say the number "] * 9, vocab_size=262)
    tokenizer.save(folder / "tokenizer.json")
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=400, n_embd=16, n_layer=1, n_head=2))
    model.save_huggingface(folder / "model")
    return folder / "model", folder / "tokenizer.json"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["bytemill", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def test_an_output_that_is_a_folder_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["generate", "-m", "nowhere", "-t", "nowhere", "--rows", files(tmp_path)["rows.json"], "-o", tmp_path]
    assert run(monkeypatch, *command) == 2
    assert f"{tmp_path} is a folder; name the file to write" in capsys.readouterr().err


def test_the_commands(
    tmp_path: Path,
    base: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, tokenizer = base
    sources = files(tmp_path)
    models = ["-m", f"a={model}", "-m", f"b={model}", "-t", tokenizer]
    data = [part for place in sources.values() for part in ("-d", place)]
    assert run(monkeypatch, "eval", "matrix", *models, *data, "--max-tokens", 300, "--page", tmp_path / "m.html") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "| model | rows.json | texts.csv | book.txt |"
    assert lines[2].removeprefix("| a") == lines[3].removeprefix("| b")
    assert (tmp_path / "m.html").exists()
    prompts = ["eval", "prompts", *models, "--max-new-tokens", 2]
    assert run(monkeypatch, *prompts, "--json", "--page", tmp_path / "p.html") == 0
    found = json.loads(capsys.readouterr().out)
    assert [len(answers) for answers in found["answers"].values()] == [10, 10]
    assert run(monkeypatch, *prompts, "-p", "Hi", "--rows", sources["rows.json"], "--n-rows", 2) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2 + 3 + 1 + 4
    assert run(monkeypatch, *prompts, "--json", "--rows", sources["rows.json"], "--split", "test") == 0
    tested = part_of(Path(sources["rows.json"]), "test", [], 0)
    assert [one["label"] for one in json.loads(capsys.readouterr().out)["prompts"]] == [
        f"{row['instruction']}\n{row.get('input') or ''}".strip() for row in tested
    ]
    generate = ["generate", "-m", model, "-t", tokenizer, "--max-new-tokens", 2]
    output = tmp_path / "answers.json"
    assert run(monkeypatch, *generate, "--rows", sources["rows.json"], "-o", output) == 0
    assert capsys.readouterr().out.strip() == str(output)
    assert np.all([RESPONSE in row for row in read_answers(output)])
    assert len(read_answers(output)) == 5
