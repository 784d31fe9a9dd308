"""Tasks over the loop, on a stand-in model; end-to-end tests use the real one."""

import json

import pytest
import torch

from bytemill import Tokenizer
from bytemill.cli.several_models import part_of
from bytemill.data import prepare
from bytemill.data.rows import encode_rows, split_rows
from bytemill.errors import ConfigError
from bytemill.evaluate.loss import held_out_loss
from bytemill.model import GPT2, GPT2Config, save_model
from bytemill.tasks.next_token import draw_samples, next_token_loss
from bytemill.tasks.prepared import resolve_epochs
from bytemill.tasks.pretrain import one_pass, pretrain_task, pretrain_task_from_config
from bytemill.tasks.tuning import encode_for_task, tuning_task, tuning_task_from_config
from bytemill.tasks.usable_model import open_model
from bytemill.train.config import DataConfig, SampleConfig, load_config
from bytemill.train.loop import fit
from bytemill.train.plan import resolve_micro_batches
from bytemill.train.run.metrics import read_json_lines
from stand_ins import VOCAB_SIZE, TinyModel, TinyStream, tiny_config


class LetterTokenizer:
    """Sixteen ids by the low half of each byte; the end-of-text is the last of the tiny model's ids."""

    eot_token = VOCAB_SIZE - 1
    n_vocab = VOCAB_SIZE
    special_tokens = {"<|endoftext|>": VOCAB_SIZE - 1}  # noqa: RUF012 - as in api.md

    def encode_ordinary(self, text):
        return [byte % 16 for byte in text.encode()]

    def decode_bytes(self, ids):
        return b"".join(map(self.decode_single_token_bytes, ids))

    def decode_single_token_bytes(self, token):
        return b"abcdefghijklmnop"[token : token + 1]


def test_one_pass_takes_each_sample_once():
    loader = TinyStream(batch_size=3, n_samples=7)
    next(loader)
    batches = list(one_pass(loader))
    assert [len(inputs) for inputs, _ in batches] == [3, 3, 1]
    whole = next(TinyStream(batch_size=7))[0]
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), whole)
    assert [len(inputs) for inputs, _ in one_pass(loader, n_batches=2)] == [3, 3]


def test_pretraining_lowers_the_held_out_loss(tmp_path):
    model = TinyModel()
    task = pretrain_task(model, TinyStream(), validation=TinyStream(batch_size=3), tokenizer=LetterTokenizer())
    fit(task, tiny_config(max_steps=30, eval_every=15), tmp_path / "run", progress=False)
    lines = [line for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "val_loss" in line]
    assert [line["step"] for line in lines] == [0, 15, 30]
    assert lines[2]["val_loss"] < lines[0]["val_loss"]
    assert lines[2]["val_bits_per_byte"] < lines[0]["val_bits_per_byte"]
    assert lines[2]["val_loss"] == pytest.approx(held_out_loss(model, one_pass(TinyStream())).mean, rel=1e-6)


def test_a_summed_loss_is_the_model_s_own_to_the_bit():
    """It was the mean times the number of targets, off by a rounding in one batch of fifty."""
    model, stream = TinyModel().eval(), TinyStream(batch_size=7, seq_len=29, n_samples=10_000)
    batches = [next(stream) for _ in range(300)]
    with torch.no_grad():
        sums = [float(model(*batch, reduction="sum")[1]) for batch in batches]
        losses = [next_token_loss(model, batch) for batch in batches]
    assert [float(loss.loss_sum) for loss in losses] == sums
    assert [int(loss.weight) for loss in losses] == [int((targets != -100).sum()) for _, targets in batches]
    assert held_out_loss(model, batches).nats == sum(sums)


ROWS = [{"instruction": f"Say {word}.", "output": word * 3} for word in ("one", "two", "three", "four", "five")]


def test_instruction_tuning_lowers_the_loss_on_responses(tmp_path):
    encoded = encode_rows(ROWS, LetterTokenizer(), max_tokens=300)
    data = DataConfig(batch_size=2)
    config = tiny_config(epochs=8, micro_batches=2, eval_every=5).model_copy(update={"data": data})
    config = resolve_epochs(config, n_rows=5)
    assert config.train.max_steps == 8 * 5 / (2 * 2)
    model = TinyModel(dropout=0.0)
    task = tuning_task(model, encoded, LetterTokenizer(), validation_rows=encoded, data=data)
    fit(task, config, tmp_path / "run", progress=False)
    lines = [line for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "val_loss" in line]
    assert [line["step"] for line in lines] == [0, 5, 10]
    assert lines[2]["val_loss"] < lines[0]["val_loss"]
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["fingerprints"] == {"rows": encoded.fingerprint()}


def test_steps_of_an_epoch_are_not_one_too_many_by_rounding():
    config = load_config(overrides=["train.epochs=1.1", "data.batch_size=10"])
    assert resolve_epochs(config, n_rows=100).train.max_steps == 11
    assert resolve_epochs(config, n_rows=101).train.max_steps == 12


@pytest.mark.parametrize("setting", ["total_batch_tokens=4096", "find_batch_size=true"])
def test_a_batch_in_tokens_is_refused_for_rows(setting):
    with pytest.raises(ConfigError, match=setting.partition("=")[0] + " is only for pretraining"):
        resolve_epochs(load_config(overrides=[f"train.{setting}"]), n_rows=10)


def test_a_validation_row_without_an_answer_ends_no_tuning(tmp_path):
    rows = [{"instruction": f"Say {i}.", "output": "" if i in split_rows(range(20))[2] else "yes"} for i in range(20)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    Tokenizer.train(texts=["say yes"], vocab_size=258).save(tmp_path / "tokenizer.json")
    places = [f"data.path={tmp_path / 'rows.json'}", f"data.tokenizer={tmp_path / 'tokenizer.json'}"]
    shape = ["model.n_layer=1", "model.n_head=2", "model.n_embd=8", "data.seq_len=256"]
    task, _, reports = tuning_task_from_config(load_config(overrides=["task=instruct", *places, *shape]))
    assert task.validate() == {}
    assert "0 of 1 rows used, 0 of them cut; not used: 1 with an empty output" in reports[1]


@pytest.mark.parametrize("max_rows", [0, 10, 19, 20])
def test_no_row_for_tests_is_tuned_or_validated_on(tmp_path, monkeypatch, max_rows):
    """With `data.max_rows` above 85 % of the rows some were."""
    rows, encoded = [{"instruction": f"Say {i}.", "output": "yes"} for i in range(20)], []
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    Tokenizer.train(texts=["say yes"], vocab_size=258).save(tmp_path / "tokenizer.json")
    monkeypatch.setattr(
        "bytemill.tasks.tuning.encode_for_task", lambda given, *_: encoded.append(given) or encode_for_task(given, *_)
    )
    places = [f"data.path={tmp_path / 'rows.json'}", f"data.tokenizer={tmp_path / 'tokenizer.json'}"]
    shape = ["model.n_layer=1", "model.n_head=2", "model.n_embd=8", "data.seq_len=256", f"data.max_rows={max_rows}"]
    tuning_task_from_config(load_config(overrides=["task=instruct", *places, *shape]))
    tuned, tested = [row for part in encoded for row in part], part_of(tmp_path / "rows.json", "test", [], 0)
    assert len(tested) == 2
    assert not [row for row in tested if row in tuned]
    assert len(tuned) == {0: 18, 10: 8, 19: 17, 20: 18}[max_rows]


def test_shards_with_too_little_to_validate_on_are_trained_on(tmp_path):
    (tmp_path / "a.txt").write_text("to be or not to be " * 50)
    tokenizer = Tokenizer.train(texts=["to be"], vocab_size=258)
    held_out = prepare(tmp_path / "a.txt", tmp_path / "shards", tokenizer=tokenizer).tokens("val")
    shape = ["model.n_layer=1", "model.n_head=2", "model.n_embd=8", f"data.path={tmp_path / 'shards'}"]
    for seq_len, validates in ((held_out - 1, True), (held_out, False)):
        task = pretrain_task_from_config(load_config(overrides=[*shape, f"data.seq_len={seq_len}"])).task
        assert bool(task.validate()) is validates


def test_a_model_that_is_used_goes_to_the_fastest_device(tmp_path, monkeypatch):
    save_model(GPT2(GPT2Config(vocab_size=258, n_positions=8, n_embd=4, n_layer=1, n_head=1)), tmp_path / "model")
    Tokenizer.train(texts=["say yes"], vocab_size=258).save(tmp_path / "model" / "tokenizer.json")
    monkeypatch.setattr("bytemill.train.machine.device.pick_device", lambda: torch.device("meta"))
    opened = open_model(tmp_path / "model")
    assert {parameter.device.type for parameter in opened.model.parameters()} == {"meta"}


def test_only_the_given_parameters_are_tuned(tmp_path):
    encoded = encode_rows(ROWS, LetterTokenizer(), max_tokens=300)
    model = TinyModel()
    before = model.embedding.weight.clone()
    parameters = list(model.middle.parameters())
    model.embedding.weight.requires_grad_(False)
    task = tuning_task(model, encoded, LetterTokenizer(), parameters=parameters)
    fit(task, tiny_config(), tmp_path / "run", progress=False)
    assert torch.equal(model.embedding.weight, before)


def test_rows_fingerprint_tells_order_and_masks_apart():
    tokenizer = LetterTokenizer()
    prints = {encode_rows(rows, tokenizer, max_tokens=300).fingerprint() for rows in (ROWS, ROWS[::-1], ROWS[:4])}
    assert len(prints) == 3


def test_total_batch_tokens():
    gpt2 = ["data.batch_size=16", "data.seq_len=1024"]
    assert resolve_micro_batches(load_config(None, gpt2)).train.micro_batches == 1
    config = load_config(None, [*gpt2, "train.total_batch_tokens=524288"])
    assert resolve_micro_batches(config).train.micro_batches == 32
    with pytest.raises(ConfigError, match=r"multiple of data\.batch_size x data\.seq_len, 16384, such as 16384"):
        resolve_micro_batches(load_config(None, [*gpt2, "train.total_batch_tokens=1000"]))


def test_samples_are_drawn_alike_by_equal_seeds_and_hold_the_new_text_alone():
    model = GPT2(GPT2Config(vocab_size=VOCAB_SIZE, n_positions=16, n_embd=8, n_layer=1, n_head=2))
    drawn, again = (draw_samples(model, LetterTokenizer(), ["ab", ""], SampleConfig(max_new_tokens=5)) for _ in "12")
    assert drawn == again
    assert [sample["prompt"] for sample in drawn] == ["ab", ""]
    assert all(0 < len(sample["text"]) <= 5 for sample in drawn)
