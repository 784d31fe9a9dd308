"""Classification: what trains, what padding changes (nothing), and that it learns, is saved and loaded."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bytemill import Tokenizer
from bytemill.errors import ConfigError, DataError
from bytemill.evaluate.classification import classification_score
from bytemill.model import GPT2, GPT2Config
from bytemill.model.classifier import Classifier
from bytemill.tasks.base_model import load_base_model
from bytemill.tasks.classifier_report import classification_report, training_accuracy
from bytemill.tasks.classify import (
    classify_rows,
    classify_task_from_config,
    classify_texts,
    labelled_rows,
    load_classifier,
    score_classifier,
)
from bytemill.tasks.model_place import find_model
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines

GOOD, BAD = ("sun", "joy", "light"), ("rain", "woe", "dark")


def classifier() -> Classifier:
    torch.manual_seed(0)
    return Classifier(GPT2(GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2)), ["a", "b"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classify")
    random = np.random.default_rng(0)
    rows = []
    for i in range(120):
        label = ("good", "bad", "good")[i % 3]
        words = random.choice(GOOD if label == "good" else BAD, 3)
        rows.append({"review": " ".join(words), "mood": label})
    (folder / "rows.json").write_text(json.dumps(rows))
    Tokenizer.train(texts=[row["review"] for row in rows], vocab_size=280).save(folder / "tokenizer.json")
    return folder


def settings(folder, *more):
    overrides = [
        "task=classify",
        f"data.path={folder / 'rows.json'}",
        f"data.tokenizer={folder / 'tokenizer.json'}",
        "data.text_column=review",
        "data.label_column=mood",
        "data.seq_len=16",
        "data.batch_size=8",
        "model.n_layer=2",
        "model.n_head=2",
        "model.n_embd=16",
        "train.epochs=6",
        "train.learning_rate=0.01",
        "train.warmup_steps=2",
        "train.eval_every=20",
        "train.precision=fp32",
        "train.device=cpu",
        "train.tensorboard=false",
    ]
    return load_config(overrides=[*overrides, *more])


def trained_names(model):
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_which_layers_train() -> None:
    model = classifier()
    model.train_only("head")
    assert trained_names(model) == {"head.weight", "head.bias"}
    model.train_only("last_block")
    assert {name.rpartition(".")[0].split(".")[1] for name in trained_names(model) if "body" in name} == {
        "blocks",
        "final_norm",
    }
    assert not any("blocks.0" in name for name in trained_names(model))
    model.train_only("all")
    assert trained_names(model) == {name for name, _ in model.named_parameters()}


def test_padding_and_what_stands_in_it_change_nothing() -> None:
    model, ids = classifier().eval(), torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        alone = model(ids, torch.tensor([4]))
        for filler in (0, 7):
            padded = torch.cat([ids, torch.full((1, 6), filler)], dim=1)
            torch.testing.assert_close(model(padded, torch.tensor([4])), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "change", [["classify.train_layers=last_block"], ["classify.train_layers=all"], ["lora.r=4"]], ids=str
)
def test_it_learns_is_saved_and_loaded(folder, tmp_path, change) -> None:
    rows = classify_rows(settings(folder, *change))
    task, config, reports = classify_task_from_config(settings(folder, *change), rows)
    assert reports == rows.reports()
    fit(task, config, tmp_path / "run", progress=False)
    score, loss = score_classifier(task.model, rows.test, config.data, pad_id=_end(folder))
    assert score.accuracy == 1.0
    measured = [line for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "val_loss" in line]
    assert measured[-1]["val_accuracy"] > measured[0]["val_accuracy"]
    assert measured[-1]["val_good_as_good"] + measured[-1]["val_bad_as_bad"] == len(rows.validation.rows)
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    loaded, max_tokens = load_classifier(tmp_path / "run", tokenizer_sha256=tokenizer.fingerprint)
    again, its_loss = score_classifier(loaded, rows.test, config.data, pad_id=_end(folder))
    assert its_loss == pytest.approx(loss, abs=1e-4)
    assert (again.confusion == score.confusion).all()
    found = classify_texts(loaded, tokenizer, ["sun joy", "dark woe dark", ""], max_tokens=max_tokens)
    assert [max(one, key=one.get) for one in found[:2]] == ["good", "bad"]
    assert all(sum(one.values()) == pytest.approx(1) for one in found)


def _end(folder) -> int:
    return Tokenizer.load(folder / "tokenizer.json").eot_token


def test_shares_and_balance(folder) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    rows = labelled_rows(settings(folder), tokenizer)
    assert [len(part.rows) for part in rows] == [84, 12, 24]
    balanced = labelled_rows(settings(folder, "classify.imbalance=undersample"), tokenizer)
    assert [len(part.rows) for part in balanced] == [56, 8, 16]
    assert np.sum([part.counts() for part in balanced], axis=0).tolist() == [40, 40]
    assert rows.train.labels == ("bad", "good")
    fewer = labelled_rows(settings(folder, "classify.imbalance=undersample", "data.max_rows=60"), tokenizer)
    n_bad, n_good = np.sum([part.counts() for part in fewer], axis=0).tolist()
    assert n_bad == n_good <= 30


@pytest.mark.parametrize("imbalance", ["none", "undersample"])
def test_max_rows_moves_no_row_to_another_part(folder, tmp_path, imbalance) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    rows = [{"review": f"row {i}", "mood": "bad" if i % 3 else "good"} for i in range(120)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    options = [f"data.path={tmp_path / 'rows.json'}", f"classify.imbalance={imbalance}"]
    everything = labelled_rows(settings(folder, *options), tokenizer)
    for most in (40, 61, 79, 119, 120):
        fewer = labelled_rows(settings(folder, *options, f"data.max_rows={most}"), tokenizer)
        for all_rows, some in zip(everything, fewer, strict=True):
            texts = [row.ids.tolist() for row in all_rows.rows]
            assert all(row.ids.tolist() in texts for row in some.rows)
        assert sum(len(part.rows) for part in fewer) <= most


def test_weighted_labels_weigh_alike(folder) -> None:
    config = settings(folder, "classify.imbalance=weighted")
    task, rows = classify_task_from_config(config).task, classify_rows(config)
    batch = [torch.as_tensor(part) for part in next(iter(task.batches))]
    n_bad, n_good = rows.train.counts()
    with torch.no_grad():
        loss = task.loss(task.model.eval(), batch)
    weights = torch.tensor([84 / (2 * n_bad), 84 / (2 * n_good)])[batch[2]]
    assert float(loss.weight) == pytest.approx(float(weights.sum()))
    assert n_bad < n_good
    all_weights = torch.tensor([84 / (2 * n_bad), 84 / (2 * n_good)])
    assert float(all_weights @ torch.tensor([n_bad, n_good], dtype=torch.float)) == pytest.approx(84)


def test_a_label_without_a_usable_training_row_is_no_class(folder, tmp_path) -> None:
    rows = json.loads((folder / "rows.json").read_text()) + [{"review": " ", "mood": "mute"}] * 30
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    config = settings(folder, f"data.path={tmp_path / 'rows.json'}", "classify.imbalance=weighted")
    task, parts = classify_task_from_config(config).task, classify_rows(config)
    assert task.model.labels == parts.train.labels == ("bad", "good")


def test_a_head_without_an_adapter_trains_itself(folder) -> None:
    for bias in ("none", "all"):
        config = settings(folder, "lora.r=2", 'lora.target_modules=["qkv"]', f"lora.bias={bias}")
        model = classify_task_from_config(config).task
        trainable = {id(parameter) for parameter in model.trainable()}
        assert {id(parameter) for parameter in model.model.head.parameters()} <= trainable
        assert len(trainable) == len(model.trainable())
    task = classify_task_from_config(settings(folder, "lora.r=2")).task
    assert not task.model.head.base_layer.weight.requires_grad


@pytest.mark.parametrize("change", ["classify.train_layers=all", "lora.r=2"])
def test_a_head_of_ids_that_is_not_tied_has_no_part(folder, tmp_path, change) -> None:
    transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    n_vocab = Tokenizer.load(folder / "tokenizer.json").n_vocab
    network = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=n_vocab, **shape))
    network.save_pretrained(tmp_path / "llama")
    for steps in (1, 2):
        more = (f"base={tmp_path / 'llama'}", f"train.max_steps={steps}", "train.epochs=0.01", change)
        task, config, _ = classify_task_from_config(settings(folder, *more))
        names = [name for name, parameter in task.model.named_parameters() if parameter.requires_grad]
        assert names
        assert not any("lm_head" in name for name in names)
        fit(task, config.with_train(max_steps=steps), tmp_path / "run", resume=steps > 1, progress=False)


def test_parts_that_are_too_small_are_named(folder, tmp_path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([{"review": "a", "mood": str(i % 2)} for i in range(4)]))
    with pytest.raises(DataError, match="for validation 0 of 4 rows were kept aside: no row can be used"):
        labelled_rows(
            settings(folder, f"data.path={tmp_path / 'rows.json'}"), Tokenizer.load(folder / "tokenizer.json")
        )


def test_what_cannot_work_is_named(folder, tmp_path) -> None:
    with pytest.raises(DataError, match="no row has a column 'text'; there are review, mood"):
        classify_task_from_config(settings(folder, "data.text_column=text"))
    (tmp_path / "one.json").write_text(json.dumps([{"review": "x", "mood": "good"}] * 20))
    with pytest.raises(DataError, match=r"14 training rows has 1 labels \(good\), expected at least two"):
        classify_task_from_config(settings(folder, f"data.path={tmp_path / 'one.json'}"))
    with pytest.raises(DataError, match="not a run of `bytemill finetune classify`"):
        load_classifier(tmp_path)
    with pytest.raises(ConfigError, match=r"data\.path is not given"):
        classify_task_from_config(load_config(overrides=["task=classify"]))


def test_a_classifier_is_no_language_model(folder, tmp_path) -> None:
    task, config, _ = classify_task_from_config(settings(folder, "train.epochs=0.1", "train.eval_every=0"))
    fit(task, config, tmp_path / "run", progress=False)
    with pytest.raises(DataError, match="a classifier of bad, good, not a language model"):
        load_base_model(tmp_path / "run")


def test_measures() -> None:
    score = classification_score(["a", "b", "c"], [(0, 0), (0, 1), (1, 1), (1, 1)])
    assert score.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert score.accuracy == 0.75
    assert score.f1 == [pytest.approx(2 / 3), 0.8, 0.0]
    assert score.as_metrics("test_")["test_a_as_b"] == 1
    assert score.table().splitlines()[1].split() == ["a", "1", "1", "0", "0.6667"]


def test_macro_f1_leaves_out_classes_that_never_occur() -> None:
    """As scikit-learn does by default; the class that never occurs was counted as 0."""
    true, given = [0] * 5 + [1] * 3, [0] * 4 + [1] + [0] * 2 + [1]
    score = classification_score(["a", "b", "never"], zip(true, given, strict=True))
    assert score.macro_f1 == pytest.approx((8 / 11 + 2 / 5) / 2)
    assert score.f1[2] == 0
    assert score.precision[:2] == pytest.approx([4 / 6, 1 / 2])
    assert score.recall[:2] == pytest.approx([4 / 5, 1 / 3])
    assert classification_score(["a", "b"], []).macro_f1 == 0


def test_accuracy_in_the_log_is_plain_whatever_the_classes_weigh(folder, tmp_path) -> None:
    """With weights it was the weighted share: 0.5 where a classifier that always says one thing is right in 0.667."""
    config = settings(folder, "classify.imbalance=weighted", "data.batch_size=7", "train.micro_batches=4")
    rows = classify_rows(config)
    task, config, _ = classify_task_from_config(config, rows)
    with torch.no_grad():  # every text is "good"
        task.model.head.weight.zero_()
        task.model.head.bias.copy_(torch.tensor([0.0, 1.0]))
    stream = classify_task_from_config(config).task.batches
    labels = np.concatenate([next(stream)[2] for _ in range(4)])
    fit(task, config.with_train(max_steps=1, eval_every=0), tmp_path / "run", progress=False)
    (line,) = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert rows.train.labels == ("bad", "good")
    assert 0 < labels.mean() < 1
    assert line["accuracy"] == pytest.approx(labels.mean())


def test_classes_have_the_names_that_are_set(folder, tmp_path) -> None:
    named = settings(folder, 'classify.names.good="not bad"', "train.epochs=0.1", "train.eval_every=0")
    rows = classify_rows(named)
    task, config, _ = classify_task_from_config(named, rows)
    assert rows.train.labels == ("bad", "not bad")
    fit(task, config, tmp_path / "run", progress=False)
    model, _ = load_classifier(tmp_path / "run")
    assert model.labels == ("bad", "not bad")
    assert find_model(tmp_path / "run").settings.classify.names == {"good": "not bad"}
    for names, sentence in (
        ("{god = 'x'}", "classify.names has 'god', which is not a label of the rows; the labels are bad, good"),
        ("{good = 'bad'}", "2 labels would be called 'bad'"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            labelled_rows(settings(folder, f"classify.names={names}"), Tokenizer.load(folder / "tokenizer.json"))


def test_a_split_that_is_turned_off_needs_no_other_rows(folder, tmp_path) -> None:
    task, config, reports = classify_task_from_config(settings(folder, "data.split=[1.0, 0, 0]", "train.epochs=0.1"))
    assert task.epoch.size == 120
    assert reports[1:] == ["validation: no rows are kept aside", "test: no rows are kept aside"]
    assert fit(task, config, tmp_path / "run", progress=False).steps == 2


def test_accuracy_on_the_training_rows(folder) -> None:
    config = settings(folder)
    rows = classify_rows(config)
    task, config, _ = classify_task_from_config(config, rows)
    score, _ = score_classifier(task.model, rows.train, config.data, pad_id=_end(folder))
    assert training_accuracy(task.model, rows.train, config, pad_id=_end(folder)) == score.accuracy
    some = settings(folder, "data.eval_batches=2")
    first = replace(rows.train, rows=rows.train.rows[:16])
    expected, _ = score_classifier(task.model, first, config.data, pad_id=_end(folder))
    assert training_accuracy(task.model, rows.train, some, pad_id=_end(folder)) == expected.accuracy
    assert training_accuracy(task.model, rows.train, config.with_train(eval_every=0), pad_id=_end(folder)) is None


def test_a_report_on_labelled_rows_has_the_worst_first(folder) -> None:
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    model = Classifier(
        GPT2(GPT2Config(vocab_size=tokenizer.n_vocab, n_positions=16, n_embd=16, n_layer=1, n_head=2)), ["bad", "good"]
    )
    rows = [
        {"text": "sun joy", "label": "good"}, {"text": "woe", "label": "bad"}, {"text": "?", "label": "other"},
        {"text": "light", "label": "bad"},
    ]  # fmt: skip
    report = classification_report(model, rows, tokenizer, max_tokens=16, batch_size=2, n_worst=2)
    probabilities = [classify_texts(model.eval(), tokenizer, [row["text"]], max_tokens=16)[0] for row in rows]
    losses = {
        i + 1: -np.log(one[row["label"]])
        for i, (one, row) in enumerate(zip(probabilities, rows, strict=True))
        if i != 2
    }
    assert [one.row for one in report.worst] == sorted(losses, key=losses.get, reverse=True)[:2]
    assert [one.loss for one in report.worst] == pytest.approx(sorted(losses.values(), reverse=True)[:2], abs=1e-5)
    assert report.loss == pytest.approx(np.mean(list(losses.values())), abs=1e-5)
    assert report.rows == (
        "3 of 4 rows used (2 bad, 1 good), 0 of them cut; not used: 1 with the label 'other', never seen in training"
    )
    for one in report.worst:
        assert one.given == max(probabilities[one.row - 1], key=probabilities[one.row - 1].get)
    assert report.as_json()["confusion"] == report.score.confusion.tolist()
    assert report.as_text().count("\n") == 12
