"""The ladder and the dry run on a model of nothing but shape."""

import json
import re
from dataclasses import replace
from datetime import datetime

import pytest
import torch

from bytemill import Tokenizer
from bytemill.data import prepare
from bytemill.errors import ConfigError
from bytemill.experiment import ladder
from bytemill.experiment.dry_run import dry_run
from bytemill.experiment.ladder import LadderSize, climb, ladder_size
from bytemill.experiment.rungs import RUNGS, Way, obstacle, way_of
from bytemill.experiment.trial import Trial
from bytemill.model import GPT2Config
from bytemill.report.ladder import ladder_page
from bytemill.train.machine.facts import examine
from console_blocks import call_bytemill
from stand_ins import tiny_config, tiny_task

SIZE = LadderSize(GPT2Config(vocab_size=100, n_positions=16, n_embd=16, n_layer=1, n_head=2), batch_size=2, seq_len=16)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
PRECISION, COMPILE, FUSED, PADDED = (RUNGS[i] for i in (2, 3, 4, 5))


@pytest.fixture(autouse=True)
def compiled(monkeypatch):
    """Count the modules that would be compiled: a compiler takes a minute, and adds nothing to what is tested here."""
    modules = []
    monkeypatch.setattr(torch, "compile", lambda module: (modules.append(module), module)[1])
    return modules


@pytest.fixture
def slow_cpu(monkeypatch):
    """A processor without bf16, as most laptops have."""
    monkeypatch.setattr("bytemill.experiment.rungs.multiplies_bf16", lambda _: False)


def timed(monkeypatch, milliseconds):
    """Let each rung take a given time instead of training; give what was tried."""
    tried = []

    def trial(task, settings, *, n_steps):
        tried.append(settings)
        return Trial([milliseconds[len(tried) - 1]] * n_steps, [9.5] * n_steps, 1_000, 5.0)

    monkeypatch.setattr(ladder, "run_trial", trial)
    return tried


def test_every_rung_has_the_same_loss_or_a_reason():
    found = climb(SIZE, device="cpu").measurements
    assert [one.rung for one in found] == list(RUNGS)
    assert found[1].left_out == "TF32 needs an NVIDIA GPU of the Ampere generation (2020) or newer; this is a cpu"
    measured = [one for one in found if one.left_out is None]
    assert [one.loss for one in measured] == pytest.approx([measured[0].loss] * len(measured), abs=0.02)
    assert all(one.tokens_per_s > 0 and one.ms_per_step > 0 for one in measured)
    assert all(one.tokens_per_s == pytest.approx(32e3 / one.ms_per_step) for one in measured)


def test_a_machine_without_bf16_climbs_all_other_rungs_in_fp32(slow_cpu, compiled):
    found = climb(SIZE, device="cpu").measurements
    assert found[2].left_out == ("this cpu has no bf16 or fp16 hardware: emulated, these formats are slower than fp32")
    assert [one.name for one in found if one.left_out is None] == [
        "fp32",
        "torch.compile",
        "fused attention",
        "padded vocabulary",
    ]
    assert {one.way.precision for one in found if one.way} == {"fp32"}
    assert compiled


def test_a_gpu_without_bf16_climbs_on_in_fp16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *, including_emulation: False)
    assert way_of(PRECISION, Way(), CUDA) == Way("fp16")
    assert way_of(COMPILE, Way("fp16"), CUDA) == Way("fp16", compiles=True)
    assert obstacle(PRECISION, CUDA, examine(), vocab_size=50_257) is None
    assert obstacle(RUNGS[1], CUDA, examine(), vocab_size=50_257) == (
        "TF32 needs an NVIDIA GPU of the Ampere generation (2020) or newer; this is a Tesla T4"
    )


def test_each_rung_changes_the_fastest_way_before_it(monkeypatch, compiled):
    monkeypatch.setattr("bytemill.experiment.rungs.multiplies_bf16", lambda _: True)
    tried = timed(monkeypatch, [100.0, 50.0, 80.0, 25.0, 20.0])  # fp32, bf16, torch.compile: slower, fused, padded
    found = climb(SIZE, device="cpu").measurements
    assert [one.way for one in found if one.way] == [
        Way("fp32"),
        Way("bf16"),
        Way("bf16", compiles=True),
        Way("bf16", fused_attention=True),
        Way("bf16", fused_attention=True, padded=True),
    ]
    assert [settings.compile for settings in tried] == [False, False, True, False, False]
    factors = [(one.factor_first, one.factor_before) for one in found if one.way]
    assert factors == [(1, 1), (2, 2), (1.25, 0.625), (4, 2), (5, 1.25)]
    assert [one.tokens_per_s for one in found if one.way] == [10_000, 20_000, 12_500, 40_000, 50_000]


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ({"compiler": None}, "torch.compile needs a C++ compiler, such as g++, which is not installed"),
        (
            {"compiler": "g++", "has_python_headers": False},
            "torch.compile needs Python's headers (python3-dev), which is not installed",
        ),
        ({"compiler": "g++", "has_python_headers": True}, None),
    ],
)
def test_what_torch_compile_lacks_is_named(machine, reason):
    assert obstacle(COMPILE, CPU, replace(examine(), **machine), vocab_size=100) == reason


def test_a_missing_compiler_leaves_one_rung_out(monkeypatch, compiled):
    monkeypatch.setattr("bytemill.train.machine.facts._compiler", lambda: None)
    found = climb(LadderSize(SIZE.model, batch_size=1, seq_len=4), device="cpu").measurements
    assert [one.name for one in found if "C++ compiler" in (one.left_out or "")] == ["torch.compile"]
    assert all(one.way for one in found[4:])
    assert not compiled


def test_a_rung_that_fails_is_explained_and_the_next_one_measured(monkeypatch):
    def fail(module):
        raise RuntimeError("no kernel for\nthis processor")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr("bytemill.experiment.rungs._no_compiler", lambda *_: None)
    found = climb(SIZE, device="cpu").measurements
    assert found[3].left_out == "failed on this machine: no kernel for this processor"
    assert all(one.way and not one.way.compiles for one in found[4:])


def test_padding_changes_no_weight():
    plain, padded = (ladder._model(SIZE.model, padded=padded) for padded in (False, True))
    assert (plain.config.padded_vocab_size, padded.config.padded_vocab_size) == (100, 128)
    ids = torch.arange(30).view(2, 15)
    assert torch.equal(plain(ids)[0], padded(ids)[0])


def test_a_vocabulary_that_needs_no_padding_is_said():
    assert obstacle(PADDED, CPU, examine(), vocab_size=512) == "the vocabulary of 512 is already a multiple of 128"
    assert obstacle(FUSED, CPU, examine(), vocab_size=512) is None


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "text.txt").write_text("to be or not to be, that is the question. " * 60)
    tokenizer = Tokenizer.train(files=[tmp_path / "text.txt"], vocab_size=270)
    prepare(tmp_path / "text.txt", tmp_path / "shards", tokenizer=tokenizer)
    return tmp_path / "shards"


def test_real_tokens_are_taken_from_shards(shards):
    size = ladder_size(batch_size=2, seq_len=16, data=shards, device="cpu")
    assert (size.model.vocab_size, size.model.n_positions, size.model.n_layer) == (270, 16, 6)
    assert size.described().endswith(f"2 x 16 tokens of {shards} per step")
    drawn, real = (next(iter(ladder._tokens(one)))[0] for one in (replace(size, data=None), size))
    assert real.shape == drawn.shape == (2, 16)
    assert not torch.equal(real, drawn)
    assert ladder_size("gpt2", data=shards, device="cpu").model.vocab_size == 50_257


def test_shards_with_more_ids_than_the_model_are_refused(shards, monkeypatch):
    monkeypatch.setattr(ladder, "read_manifest", lambda _: type("Manifest", (), {"n_vocab": 60_000}))
    with pytest.raises(ConfigError, match="its ids need a vocabulary of 60,000, but gpt2 has 50,257; leave out"):
        ladder_size("gpt2", data=shards, device="cpu")


def test_the_command_s_table_has_machine_and_date(shards, tmp_path, monkeypatch, capsys):
    small = LadderSize(SIZE.model.model_copy(update={"vocab_size": 270}), 2, 16, shards)
    monkeypatch.setattr(ladder, "ladder_size", lambda *_, **__: small)
    page = tmp_path / "pages" / "ladder.html"
    assert call_bytemill(["ladder", "--device", "cpu", "--data", str(shards), "-o", str(page)]) == 0
    header, fp32, *_, padded, where = capsys.readouterr().out.splitlines()
    assert re.split(r"\s{2,}", header) == [
        "rung", "ms per step", "tokens/s", "x first", "x before", "loss", "a 3090, reported",
    ]  # fmt: skip
    name, milliseconds, speed, *factors, _loss, reported = re.split(r"\s{2,}", fp32)
    assert (name, factors, reported) == ("fp32", ["1.00", "1.00"], "15,371")
    assert float(speed.replace(",", "")) == pytest.approx(32e3 / float(milliseconds), rel=0.1)
    assert padded.startswith("padded vocabulary")
    assert re.fullmatch(r"measured on: .+, \d+ threads?, torch \S+; \d+ \w+ \d{4}", where)
    assert str(datetime.now().astimezone().year) in where
    html = page.read_text(encoding="utf-8")
    assert where.removeprefix("measured on: ") in html
    assert all(rung.name in html for rung in RUNGS if rung is not PRECISION)
    assert "Skipped rungs" in html


def test_the_json_holds_every_rung(monkeypatch, capsys):
    monkeypatch.setattr(ladder, "ladder_size", lambda *_, **__: SIZE)
    assert call_bytemill(["ladder", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["rungs"]) == 6
    assert found["rungs"][0]["way"] == {
        "precision": "fp32", "compiles": False, "fused_attention": False, "padded": False,
    }  # fmt: skip
    assert found["rungs"][0]["factor_before"] == 1
    assert re.search(r"\d{4}$", found["machine_and_date"])


def test_the_page_is_told_in_words():
    found = climb(SIZE, device="cpu")
    page = ladder_page(found).html()
    assert "Tokens per second of each rung: fp32 " in page
    assert found.place_and_date in page


def test_a_dry_run_writes_nothing_and_tells_what_a_run_would_take(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bytemill.experiment.dry_run._ENOUGH_SECONDS", 0.0)
    found = dry_run(tiny_task(), tiny_config(max_steps=1000, micro_batches=3))
    assert not list(tmp_path.iterdir())
    assert found.n_parameters == found.n_trainable == 17 * 8 + 8 * 8 + 8
    assert found.checkpoint_bytes == 3 * 4 * found.n_parameters
    assert (found.tokens_per_step, found.total_tokens) == (30, 30_000)
    assert (len(found.trial.losses), found.trial.tokens_per_step) == (1, 10)
    assert found.seconds == pytest.approx(3000 * found.trial.seconds_per_step)
