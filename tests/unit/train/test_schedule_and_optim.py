import math

import pytest
import torch

from bytemill.train.config import TrainConfig
from bytemill.train.optim import build_optimizer, scale_and_clip_gradients
from bytemill.train.schedule import learning_rate_at

GPT2 = TrainConfig(max_steps=19_073, warmup_steps=715, learning_rate=6e-4, min_learning_rate=6e-5)


@pytest.mark.parametrize("step", [0, 1, 357, 714])
def test_warm_up_is_linear_and_counts_from_one(step):
    assert learning_rate_at(step, GPT2) == pytest.approx(6e-4 * (step + 1) / 715, rel=1e-15)


@pytest.mark.parametrize("step", [715, 716, 5_000, 19_072])
def test_cosine_is_the_reports_formula(step):
    wave = 1 + math.cos(math.pi * (step - 715) / (19_073 - 715))
    assert learning_rate_at(step, GPT2) == pytest.approx(6e-5 + 0.5 * wave * (6e-4 - 6e-5), rel=1e-15)


def test_ends_of_the_schedule():
    assert learning_rate_at(715, GPT2) == 6e-4
    assert learning_rate_at(19_073, GPT2) == learning_rate_at(99_999, GPT2) == 6e-5


def test_no_warm_up_and_constant():
    assert learning_rate_at(0, TrainConfig(warmup_steps=0)) == 6e-4
    assert learning_rate_at(900, TrainConfig(schedule="constant")) == 6e-4
    assert learning_rate_at(5, TrainConfig(warmup_steps=10, max_steps=3)) == pytest.approx(3.6e-4)
    assert learning_rate_at(3, TrainConfig(warmup_steps=3, max_steps=3)) == 6e-5


def test_only_matrices_decay():
    model = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
    decaying, spared = build_optimizer(model.parameters(), TrainConfig()).param_groups
    assert (decaying["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    assert all(p.dim() == 2 for p in decaying["params"])
    assert len(decaying["params"]) == 2
    assert len(spared["params"]) == 3
    assert all(p.dim() == 1 for p in spared["params"])


def test_vectors_alone_make_one_group():
    (group,) = build_optimizer([torch.nn.Parameter(torch.ones(2))], TrainConfig()).param_groups
    assert group["weight_decay"] == 0.0


def test_fused_steps_equal_the_formula_written_out():
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(3, 2))
    settings = TrainConfig(learning_rate=0.01)
    optimizer = build_optimizer([weight], settings)
    expected, first, second = weight.detach().double(), torch.zeros(3, 2), torch.zeros(3, 2)
    first, second = first.double(), second.double()
    for t in range(1, 4):
        weight.grad = torch.randn(3, 2)
        gradient = weight.grad.double()
        first = 0.9 * first + 0.1 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        update = (first / (1 - 0.9**t)) / ((second / (1 - 0.95**t)).sqrt() + 1e-8)
        expected = expected * (1 - 0.01 * 0.1) - 0.01 * update
        optimizer.step()
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("max_norm", "expected"), [(0.0, 2.5), (10.0, 2.5), (1.0, 1.0)])
def test_scaling_and_clipping(max_norm, expected):
    a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1, 1))
    a.grad, b.grad = torch.tensor([6.0]), torch.tensor([[8.0]])
    untouched = torch.nn.Parameter(torch.zeros(1))
    assert scale_and_clip_gradients([a, b, untouched], 0.25, max_norm) == pytest.approx(2.5)
    assert math.hypot(a.grad.item(), b.grad.item()) == pytest.approx(expected)
    assert untouched.grad is None


def test_a_gradient_that_is_no_number_is_left_alone():
    a = torch.nn.Parameter(torch.zeros(2))
    a.grad = torch.tensor([1.0, math.inf])
    assert scale_and_clip_gradients([a], 0.5, 1.0) == math.inf
    assert a.grad.tolist() == [1.0, math.inf]
