"""Products with weights laid out anew: the same numbers, also under autocast, and only where it pays."""

import copy

import pytest
import torch
import torch.nn.functional as F

from bytemill.model import GPT2, GPT2Config, generate, packed
from bytemill.model.generation import generate_stream
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, merge_lora
from bytemill.model.packed import PackedProducts


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=1000, n_positions=64, n_embd=512, n_layer=2, n_head=4))
    with torch.no_grad():
        model.token_embedding.weight.mul_(5)  # clear winners, so that rounding draws no other id
    return model.eval()


@pytest.mark.parametrize("n_rows", [1, 3, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_products_are_those_of_torch(n_rows, dtype):
    torch.manual_seed(0)
    x, weight, bias = torch.randn(n_rows, 2, 768), torch.randn(1024, 768), torch.randn(1024)
    x, weight, bias = (part.to(dtype) for part in (x, weight, bias))
    products = PackedProducts()
    with torch.no_grad(), products:
        for _ in range(2):
            torch.testing.assert_close(F.linear(x, weight, bias), x @ weight.T + bias, rtol=2e-2, atol=1e-3 * 768**0.5)
            torch.testing.assert_close(F.linear(x, weight), x @ weight.T, rtol=2e-2, atol=1e-3 * 768**0.5)
    assert len(products._packed) == packed._has_layout(dtype)


def test_fp32_has_the_layout_and_fp64_has_not():
    assert packed._has_layout(torch.float32)
    assert not packed._has_layout(torch.float64)


def test_where_torch_refuses_the_layout_for_bf16_its_own_products_are_used(monkeypatch):
    def refuse(weight, n_rows):
        raise RuntimeError("bf16 path needs the cpu support avx_ne_convert or avx512bw, avx512vl and avx512dq")

    packed._has_layout.cache_clear()
    monkeypatch.setattr(torch.ops.mkldnn, "_reorder_linear_weight", refuse)
    x, weight, products = torch.randn(2, 768).bfloat16(), torch.randn(1024, 768).bfloat16(), PackedProducts()
    plain = F.linear(x, weight)
    try:
        with torch.no_grad(), products:
            assert torch.equal(F.linear(x, weight), plain)
    finally:
        packed._has_layout.cache_clear()
    assert not products._packed


def test_under_autocast_products_are_taken_in_its_type():
    x, weight = torch.randn(2, 768), torch.randn(1024, 768)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        plain = F.linear(x, weight)
        with PackedProducts():
            assert torch.equal(F.linear(x, weight), plain)


def test_a_weight_seen_through_new_views_is_laid_out_once():
    experts, products = torch.nn.Parameter(torch.randn(2, 1024, 512)), PackedProducts()
    x = torch.randn(2, 512)
    with torch.no_grad(), products:
        for number in (0, 1, 0, 1):
            torch.testing.assert_close(F.linear(x, experts[number]), x @ experts[number].T, rtol=1e-3, atol=1e-3)
    assert len(products._packed) == 2


def test_small_and_double_weights_keep_torchs_products():
    products = PackedProducts()
    with torch.no_grad(), products:
        F.linear(torch.randn(2, 8), torch.randn(8, 8))
        F.linear(torch.randn(2, 768).double(), torch.randn(1024, 768).double())
    assert not products._packed


def test_what_is_generated_does_not_change(model):
    ids = torch.randint(0, 1000, (2, 4))
    plain = torch.cat([ids, *generate_stream(model, ids, max_new_tokens=31, temperature=0)], dim=1)
    packed = generate(model, ids, max_new_tokens=40, temperature=0)
    assert torch.equal(packed[:, :35], plain)


def test_adapters_are_seen_beside_a_packed_base(model):
    torch.manual_seed(1)
    adapted = apply_lora(copy.deepcopy(model), LoraConfig(r=4, target_modules="all-linear")).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    ids = torch.randint(0, 1000, (1, 8))
    with torch.no_grad():
        plain = adapted(ids)[0]
        with PackedProducts():
            torch.testing.assert_close(adapted(ids)[0], plain, rtol=1e-3, atol=1e-2)


class TestChangedWeights:
    """A kept generator answered with old weights after they had changed."""

    IDS = torch.tensor([[5, 9, 100, 700], [1, 2, 3, 4]])

    def answers(self, model, products):
        return torch.cat(list(generate_stream(model, self.IDS, max_new_tokens=8, temperature=0, products=products)), 1)

    def assert_noticed(self, model, change) -> None:
        kept = PackedProducts()
        before = self.answers(model, kept)
        change(model)
        after = self.answers(model, kept)
        assert torch.equal(after, self.answers(model, PackedProducts()))
        assert not torch.equal(after, before)
        assert kept._n_bytes == sum(entry.weight.nbytes for entry in kept._packed.values()) > 0

    def test_merging_an_adapter(self, model):
        adapted = apply_lora(copy.deepcopy(model), LoraConfig(r=4, target_modules="all-linear")).eval()
        with torch.no_grad():
            for parameter in lora_parameters(adapted):
                parameter.add_(0.2 * torch.randn_like(parameter))
        kept = PackedProducts()
        before = self.answers(adapted, kept)
        merge_lora(adapted)
        assert torch.equal(self.answers(adapted, kept), before)  # the same sum, in the weights
        fresh = self.answers(merge_lora(adapted, unwrap=True), kept)
        assert torch.equal(fresh, before)

    def test_another_state_dict(self, model):
        torch.manual_seed(7)
        other = {name: tensor + 0.1 * torch.randn_like(tensor) for name, tensor in model.state_dict().items()}
        self.assert_noticed(copy.deepcopy(model), lambda changed: changed.load_state_dict(other))

    def test_a_step_of_an_optimizer(self, model):
        def step(changed):
            changed(self.IDS, self.IDS.flip(1))[1].backward()
            torch.optim.SGD(changed.parameters(), lr=3.0).step()

        self.assert_noticed(copy.deepcopy(model), step)

    def test_numbers_written_through_data(self, model):
        def overwrite(changed):
            for parameter in changed.parameters():
                parameter.data.neg_()

        self.assert_noticed(copy.deepcopy(model), overwrite)

    def test_other_tensors_in_their_place(self, model):
        def replace(changed):
            for parameter in changed.parameters():
                parameter.data = parameter.data.flip(0)

        self.assert_noticed(copy.deepcopy(model), replace)

    def test_weights_that_are_not_counted_are_never_kept(self):
        with torch.inference_mode():
            weight, x = torch.randn(1024, 768), torch.randn(2, 768)
            products = PackedProducts()
            with products:
                F.linear(x, weight)
                weight.neg_()
                assert torch.equal(F.linear(x, weight), x @ weight.T)
        assert not products._packed


def test_a_single_row_in_bf16_is_multiplied_as_ever(model):
    products = PackedProducts()
    ids = torch.randint(0, 1000, (1, 8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        list(generate_stream(model, ids, max_new_tokens=2, products=products))
    assert not products._packed
    list(generate_stream(model, ids, max_new_tokens=2, products=products))
    assert products._packed
