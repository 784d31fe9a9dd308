"""What is done with the gradient of a step, and what is said about it."""

import pytest
import torch

from bytemill.train.gradient_watch import GradientWatch
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines
from bytemill.train.task import BatchLoss
from stand_ins import TinyModel, TinyStream, tiny_config, tiny_loss, tiny_task


def weights_after(folder, **settings):
    task = tiny_task(dropout=0.0)
    defaults = {"warmup_steps": 3, "schedule": "constant", "eval_every": 0}
    fit(task, tiny_config(**(defaults | settings)), folder, progress=False)
    return task.model.state_dict()


def test_clipping_can_wait_for_the_end_of_the_warm_up(tmp_path):
    """A norm of 1e-12 is below AdamW's eps, so that a clipped step hardly moves the weights."""
    tight = {"clip_norm": 1e-12, "clip_after_warmup": True}
    for steps, is_equal in ((3, True), (4, False)):
        free = weights_after(tmp_path / f"free{steps}", max_steps=steps, clip_norm=0)
        later = weights_after(tmp_path / f"later{steps}", max_steps=steps, **tight)
        assert all(torch.equal(free[name], later[name]) for name in free) == is_equal
    at_once = weights_after(tmp_path / "at_once", max_steps=3, clip_norm=1e-12)
    later = weights_after(tmp_path / "later", max_steps=3, **tight)
    assert not any(torch.equal(at_once[name], later[name]) for name in later)


def test_the_largest_entry_of_the_gradient_is_logged_next_to_its_norm(tmp_path):
    fit(tiny_task(dropout=0.0), tiny_config(max_steps=1, eval_every=0), tmp_path / "run", progress=False)
    model = TinyModel(dropout=0.0)
    model(*next(TinyStream()))[1].backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    (line,) = read_json_lines(tmp_path / "run" / "metrics.jsonl")
    assert line["grad_max"] == pytest.approx(max(float(one.abs().max()) for one in gradients), rel=1e-5)
    assert line["grad_norm"] == pytest.approx(float(torch.nn.utils.get_total_norm(gradients)), rel=1e-5)
    assert 0 < line["grad_max"] < line["grad_norm"]


def growing(factor, after):
    """A loss whose gradient is multiplied by `factor` once `after` batches were seen."""
    n_seen = 0

    def loss(model, batch):
        nonlocal n_seen
        n_seen += 1
        found = tiny_loss(model, batch)
        return BatchLoss(found.loss_sum * (factor if n_seen > after else 1), found.weight)

    return loss


@pytest.mark.parametrize(("settings", "help_"), [({}, ""), ({"clip_norm": 0}, "train.clip_norm=1")])
def test_a_gradient_that_grows_by_orders_while_it_is_finite_is_warned_of(tmp_path, capsys, settings, help_):
    config = tiny_config(max_steps=40, eval_every=0, **settings)
    fit(tiny_task(loss=growing(1e4, after=25)), config, tmp_path / "run")
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert len(warnings) == 1
    assert warnings[0].startswith("warning: step 28: the gradient norm is")
    assert "a lower train.learning_rate" in warnings[0]
    assert ("train.clip_norm=1" in warnings[0]) == bool(help_)


def test_a_run_that_goes_well_is_not_warned_of(tmp_path, capsys):
    fit(tiny_task(loss=growing(20, after=25)), tiny_config(max_steps=60, eval_every=0), tmp_path / "run")
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("norms", "warnings"),
    [
        ([5.0] * 30, 0),
        ([5.0] * 30 + [5e4] + [5.0] * 30, 0),  # one bad batch
        ([5.0] * 30 + [5e4] * 3, 1),
        ([2.0 * 1.2**n for n in range(60)], 1),  # slow growth, as fp16's before it overflows
        ([1e-4] * 30 + [0.5] * 30, 0),  # the gradient of rows learnt by heart, then of a new one
        ([5.0] * 30 + [5e3] * 20 + [5e6] * 20, 2),
        ([5.0] * 10 + [5e4] * 3, 0),  # too early to say
    ],
)
def test_what_is_worth_a_warning(norms, warnings):
    watch = GradientWatch()
    assert sum(watch.growth(norm) is not None for norm in norms) == warnings
    assert watch.growth(float("nan")) is None
