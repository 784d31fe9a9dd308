"""Both tasks with the real tokenizer, shards, loader and GPT-2, as a configuration describes them."""

import json

import pytest
import torch

from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.errors import ArgumentError, CheckpointError, ConfigError
from bytemill.model import load_model
from bytemill.tasks.pretrain import pretrain_task_from_config
from bytemill.tasks.tuning import tuning_task_from_config
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run.checkpoint import newest_valid
from bytemill.train.run.metrics import read_json_lines

TEXT = "the cat sat on the mat. the dog ate the cat's hat. " * 40
SMALL = [
    "model.n_layer=1",
    "model.n_head=2",
    "model.n_embd=16",
    "model.n_positions=256",
    "model.resid_pdrop=0.1",
    "data.batch_size=2",
    "train.precision=fp32",
    "train.device=cpu",
    "train.learning_rate=0.01",
    "train.warmup_steps=2",
    "train.checkpoint_every=4",
    "train.tensorboard=false",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tasks")
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    tokenizer.save(folder / "tokenizer.json")
    (folder / "text.txt").write_text(TEXT)
    prepare([folder / "text.txt"], folder / "shards", tokenizer=tokenizer, val=0.2)
    rows = [{"instruction": f"say {n}", "input": "", "output": f"the cat sat on {n}"} for n in range(40)]
    (folder / "rows.json").write_text(json.dumps(rows))
    return folder


def pretraining(folder, *more):
    settings = [
        f"data.path={folder / 'shards'}",
        f"data.tokenizer={folder / 'tokenizer.json'}",
        f"model.vocab_size={Tokenizer.load(folder / 'tokenizer.json').n_vocab}",
        "data.seq_len=16",
        "train.max_steps=12",
        "train.eval_every=6",
        "train.sample_every=12",
        "train.total_batch_tokens=64",
    ]
    return load_config(overrides=[*SMALL, *settings, *more])


def run(config, from_config, folder, **options):
    prepared = from_config(config)
    fit(prepared.task, prepared.config, folder, progress=False, **options)
    return prepared.task


@pytest.fixture(scope="module")
def pretrained(folder):
    run(pretraining(folder), pretrain_task_from_config, folder / "pretrained")
    return folder / "pretrained"


def test_pretraining_learns_and_leaves_a_model_that_loads(folder, pretrained):
    lines = read_json_lines(pretrained / "metrics.jsonl")
    measured = [line for line in lines if "val_loss" in line]
    assert [line["step"] for line in measured] == [0, 6, 12]
    assert measured[2]["val_bits_per_byte"] < measured[0]["val_bits_per_byte"]
    assert lines[-1]["tokens"] == 12 * 64
    assert all(isinstance(line["text"], str) for line in read_json_lines(pretrained / "samples.jsonl"))
    model = load_model(newest_valid(pretrained)[0].path)
    again = run(pretraining(folder), pretrain_task_from_config, pretrained, resume=True).model
    ids = torch.arange(8)[None]
    assert torch.equal(model.eval()(ids)[0], again.eval()(ids)[0])


def test_a_resumed_pretraining_is_bit_equal(folder, pretrained):
    run(pretraining(folder, "train.max_steps=12"), pretrain_task_from_config, folder / "whole")
    checkpoints = folder / "whole" / "checkpoints"
    whole = (checkpoints / "step_00000012" / "model.safetensors").read_bytes()
    (checkpoints / "step_00000012" / "state.json").unlink()  # as a damaged disk would: back to step 8
    run(pretraining(folder), pretrain_task_from_config, folder / "whole", resume=True)
    assert (checkpoints / "step_00000012" / "model.safetensors").read_bytes() == whole


@pytest.mark.parametrize("rank", [0, 2])
def test_instruction_tuning_on_a_pretrained_base(folder, pretrained, rank):
    settings = [
        f"base={pretrained}",
        f"data.path={folder / 'rows.json'}",
        f"data.tokenizer={folder / 'tokenizer.json'}",
        "data.seq_len=256",
        "train.epochs=1",
        f"lora.r={rank}",
        "train.eval_every=100",
    ]
    config = load_config(overrides=["task=instruct", *SMALL, *settings])
    task, config, reports = tuning_task_from_config(config)
    assert reports[0].startswith("training: 34 of 34 rows used")
    assert config.train.max_steps == 17
    base = {name: tensor.clone() for name, tensor in task.model.state_dict().items()}
    target = folder / f"tuned_{rank}"
    fit(task, config, target, progress=False)
    moved = {name for name, tensor in task.model.state_dict().items() if not torch.equal(tensor, base[name])}
    assert moved
    assert all("lora" in name for name in moved) == bool(rank)
    losses = [line["val_loss"] for line in read_json_lines(target / "metrics.jsonl") if "val_loss" in line]
    assert losses[-1] < losses[0]
    # What was tuned is a base in its turn, its adapters merged.
    again = load_config(overrides=["task=instruct", *SMALL, *settings, "lora.r=0", f"base={target}"])
    merged = tuning_task_from_config(again)[0].model.eval()
    ids = torch.arange(8)[None]
    torch.testing.assert_close(merged(ids)[0], task.model.eval()(ids)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.n_layers=2", "model.n_layers is not a setting; did you mean model.n_layer"),
        ("model.n_head=3", "model.n_embd: 16 cannot be divided into 3 heads"),
        ("model.vocab_size=20", "model.vocab_size is 20, but the ids of"),
        ("data.seq_len=512 train.total_batch_tokens=1024", "data.seq_len is 512, above model.n_positions, 256"),
        ("train.total_batch_tokens=65", "train.total_batch_tokens is 65; it must be a multiple"),
        ("lora.r=4", "lora.r is 4, but pretraining"),
        ("data.path=nowhere", "data.path: nowhere/manifest.json cannot be read: No such file"),
    ],
)
def test_what_cannot_work_is_named(folder, override, sentence):
    with pytest.raises(ConfigError) as caught:
        pretrain_task_from_config(pretraining(folder, *override.split()))
    assert sentence in str(caught.value)


def test_a_resume_in_another_order_or_with_another_model_is_refused(folder, pretrained):
    for override, error, sentence in (
        ("data.seq_len=32", ArgumentError, "seq_len"),
        ("model.n_layer=2", CheckpointError, "n_layer was 1, and is 2 now"),
    ):
        with pytest.raises(error, match=sentence):
            run(pretraining(folder, override), pretrain_task_from_config, pretrained, resume=True)
