"""The ready settings are settings, and say what the issue and the reports say."""

from pathlib import Path

import pytest

from bytemill.experiment.sweep.plan import read_sweep
from bytemill.model import GPT2Config
from bytemill.train.config import load_config, read_toml
from bytemill.train.plan import resolve_micro_batches
from bytemill.train.schedule import learning_rate_at

CONFIGS = Path(__file__).parents[2] / "examples" / "configs"


SWEEPS = sorted(CONFIGS.glob("sweep_*.toml"))
RUNS = sorted({*CONFIGS.glob("*.toml")} - {*SWEEPS})


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_sweeps_are_read(path):
    assert len(read_sweep(path)) > 2


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_settings_are_read(path):
    config = load_config(path)
    shape = {"vocab_size": 257, **config.model}
    name = shape.pop("name", None)
    if name is None:
        GPT2Config(**shape)
    assert config.train.max_steps >= config.train.warmup_steps
    given = read_toml(path)["train"]
    assert {name: value for name, value in config.train.model_dump(mode="json").items() if name in given} == given
    assert config.train.min_learning_rate <= config.train.learning_rate / 10 * (1 + 1e-9)


def test_gpt2_on_fineweb_has_the_reports_batch_and_schedule():
    config = resolve_micro_batches(load_config(CONFIGS / "gpt2-124m-fineweb.toml"))
    assert config.train.micro_batches * config.data.batch_size * config.data.seq_len == 2**19
    assert learning_rate_at(714, config.train) == pytest.approx(6e-4)
    assert learning_rate_at(19_073, config.train) == pytest.approx(6e-5)
