"""The demo's training ends on time on machines of any speed, also of one that changes, its learning rate decayed."""

import pytest
import torch

from bytemill.experiment.demo import timed
from bytemill.experiment.demo.sizes import FAST, FULL, TINY
from bytemill.experiment.demo.timed import choose_size, train_for
from bytemill.experiment.trial import run_trial
from bytemill.train import clock as clock_module
from bytemill.train.run.metrics import read_json_lines
from stand_ins import TinyStream, tiny_config, tiny_task


class FakeTime:
    """Time that passes while batches are read, as many seconds as `seconds_of` says for a step."""

    def __init__(self, monkeypatch, seconds_of):
        self.now, self.steps, self.seconds_of = 1000.0, 0, seconds_of
        monkeypatch.setattr(clock_module.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(timed.time, "perf_counter", lambda: self.now)

    def task(self):
        elapsed = self

        class SlowStream(TinyStream):
            def __next__(self):
                elapsed.now += elapsed.seconds_of(elapsed.steps)
                elapsed.steps += 1
                return super().__next__()

        return tiny_task(batches=SlowStream())


@pytest.mark.parametrize(
    ("seconds_of", "steps"),
    [
        (lambda step: 1.0, range(85, 101)),
        (lambda step: 0.001, range(200, 201)),  # fast: the number of steps is the limit
        (lambda step: 1.0 if step < 30 else 10.0, range(30, 45)),  # other programs start
        (lambda step: 10.0 if step < 5 else 1.0, range(8, 101)),  # they end
        (lambda step: 300.0, range(1, 3)),  # one step takes longer than all of the time
    ],
    ids=["steady", "fast", "slower", "faster", "too slow"],
)
def test_it_ends_on_time_with_its_learning_rate_decayed(seconds_of, steps, monkeypatch, tmp_path):
    elapsed = FakeTime(monkeypatch, seconds_of)
    config = tiny_config(eval_every=0, warmup_steps=1)
    pace = train_for(100.0, elapsed.task(), config, tmp_path / "run", tokens_per_step=10, max_steps=200)
    lines = [line for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "lr" in line]
    assert len(lines) in steps
    assert pace.tokens >= 10 * len(lines)  # the last line may be due when the time is over
    assert elapsed.now - 1000 <= max(110.0, 2 * seconds_of(0))
    assert pace.seconds == elapsed.now - 1000
    rates = [line["lr"] for line in lines]
    assert max(rates) == pytest.approx(config.train.learning_rate)
    if seconds_of(40) == seconds_of(0) < 100:
        assert rates[-1] < 0.3 * config.train.learning_rate
        assert rates[len(rates) // 2] == pytest.approx(config.train.learning_rate)


@pytest.mark.parametrize(
    ("speeds", "chosen"),
    [
        ([5_000, 9, 9, 9], "large"),
        ([2_000, 9_000, 9, 9], "medium"),
        ([9, 9, 3_000, 9], "small"),
        ([9, 9, 9, 9], "tiny"),
    ],
)
def test_the_largest_model_that_sees_enough_tokens_is_chosen(speeds, chosen, monkeypatch):
    measured, said = iter(speeds), []
    monkeypatch.setattr(timed, "_tokens_per_second", lambda size: next(measured))
    size, speed = choose_size(FULL.models, FULL.pretrain_seconds, said.append)
    assert size.name == chosen
    assert speed == speeds[[one.name for one in FULL.models].index(chosen)]
    assert len(said) == [one.name for one in FULL.models].index(chosen) + 1
    assert all("too slow: it needs" in line for line in said[:-1])


def test_the_speed_of_a_size_is_that_of_training_it(monkeypatch):
    trials = []

    def noted(task, settings, **options):
        ids, targets = next(iter(task.batches))
        assert ids.shape == targets.shape == (TINY.batch_size, TINY.seq_len)
        trials.append(run_trial(task, settings, **options))
        return trials[-1]

    monkeypatch.setattr(timed, "run_trial", noted)
    assert timed._tokens_per_second(TINY) == trials[0].tokens_per_second > 0


def test_sizes_fall_in_every_way():
    for larger, smaller in zip(FULL.models, FULL.models[1:], strict=False):
        assert larger.needed_tokens >= smaller.needed_tokens
        assert larger.vocab_size > smaller.vocab_size
        assert sum(p.numel() for p in timed.new_model(larger, larger.vocab_size).parameters()) > sum(
            p.numel() for p in timed.new_model(smaller, smaller.vocab_size).parameters()
        )
    assert FAST.models == FULL.models[-2:]
    assert torch.equal(
        timed.new_model(TINY, 300).token_embedding.weight, timed.new_model(TINY, 300).token_embedding.weight
    )
