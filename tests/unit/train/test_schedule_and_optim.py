import math
from copy import deepcopy

import pytest
import torch

from bytemill.errors import ConfigError
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


def test_a_first_rate_counts_the_warm_up_from_zero():
    """The fifth report's loop: from 1e-5 in equal strides to 1e-3, then a cosine back to 1e-5."""
    report = TrainConfig(
        max_steps=100, warmup_steps=20, first_learning_rate=1e-5, learning_rate=1e-3, min_learning_rate=1e-5
    )
    stride = (1e-3 - 1e-5) / 20
    for step in range(20):
        assert learning_rate_at(step, report) == pytest.approx(1e-5 + step * stride, rel=1e-12)
    for step in range(20, 100):
        wave = 1 + math.cos(math.pi * (step - 20) / 80)
        assert learning_rate_at(step, report) == pytest.approx(1e-5 + (1e-3 - 1e-5) * 0.5 * wave, rel=1e-12)


def test_linear_goes_down_in_equal_strides():
    linear = TrainConfig(max_steps=10, warmup_steps=0, schedule="linear", learning_rate=1.0, min_learning_rate=0.0)
    assert [learning_rate_at(step, linear) for step in (0, 5, 9, 10)] == pytest.approx([1.0, 0.5, 0.1, 0.0])


def test_wsd_stays_then_decays():
    wsd = TrainConfig(
        max_steps=110, warmup_steps=10, schedule="wsd", decay_share=0.2, learning_rate=1.0, min_learning_rate=0.0
    )
    assert {learning_rate_at(step, wsd) for step in range(10, 91)} == {1.0}
    assert learning_rate_at(95, wsd) == pytest.approx(1 - math.sqrt(5 / 20))
    assert learning_rate_at(110, wsd) == 0.0


def muon_parts():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Embedding(3, 4), torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    settings = TrainConfig(optimizer="muon", learning_rate=0.1, weight_decay=0.0)
    optimizer = build_optimizer(model.parameters(), settings, hidden_matrices=[model[1].weight, model[2].weight])
    return model, optimizer


def move(model, optimizer):
    model(torch.tensor([0, 1, 2])).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_muon_moves_every_direction_of_a_hidden_matrix_alike():
    model, optimizer = muon_parts()
    before = model[1].weight.detach().clone()
    rotation, _ = torch.linalg.qr(torch.randn(4, 4))
    model[1].weight.grad = rotation @ torch.diag(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    optimizer.step()
    singular = torch.linalg.svdvals(before - model[1].weight.detach())
    # orthogonal within Newton and Schulz's five rounds, at the size of AdamW's steps: 0.2 sqrt(4) a singular value
    assert singular / (0.1 * 0.2 * 2) == pytest.approx(torch.ones(4), abs=0.35)
    assert len(optimizer.param_groups) == 3
    muon_group = optimizer.param_groups[-1]["params"]
    assert {id(p) for p in muon_group} == {id(model[1].weight), id(model[2].weight)}


def test_the_state_of_several_optimizers_goes_on_as_if_nothing_had_been():
    model, optimizer = muon_parts()
    for _ in range(3):
        move(model, optimizer)
    copy, other = muon_parts()
    copy.load_state_dict(model.state_dict())
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    for pair in ((model, optimizer), (copy, other)):
        move(*pair)
    for one, same in zip(model.parameters(), copy.parameters(), strict=True):
        assert torch.equal(one, same)


def test_muon_may_move_all_there_is():
    matrix = torch.nn.Parameter(torch.ones(2, 2))
    optimizer = build_optimizer([matrix], TrainConfig(optimizer="muon"), hidden_matrices=[matrix])
    assert [group["params"] for group in optimizer.param_groups] == [[matrix]]
    optimizer.load_state_dict(deepcopy(optimizer.state_dict()))


def test_muon_without_a_matrix_is_refused():
    with pytest.raises(ConfigError, match="no matrix between hidden layers is trained"):
        build_optimizer([torch.nn.Parameter(torch.ones(2))], TrainConfig(optimizer="muon"))


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
