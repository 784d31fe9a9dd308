"""GPT-2: its shape, its loss and its attention, against their definitions."""

import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._dynamo.testing import CompileCounter

from attending import forward_and_backward
from bytemill.errors import ConfigError, DataError, FormatError
from bytemill.model import GPT2, GPT2Config, KeyValueCache, load_model, save_model
from bytemill.model.attention import (
    CausalSelfAttention,
    causal_attention,
    multi_head_attention,
    self_attention,
    write_out_attention,
)
from bytemill.model.attention_kernels import attend_in_blocks
from bytemill.model.gpt2 import MLP
from bytemill.model.loss import cross_entropy_by_definition, cross_entropy_sum

TINY = GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)


def tiny_model(**overrides: object) -> GPT2:
    torch.manual_seed(0)
    model = GPT2(GPT2Config(**{**TINY.model_dump(), **overrides}))
    with torch.no_grad():  # away from the special values of a fresh model: biases and norms count too
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def random_ids(*shape: int) -> torch.Tensor:
    return torch.randint(0, TINY.vocab_size, shape, generator=torch.Generator().manual_seed(1))


class TestConfig:
    @pytest.mark.parametrize(
        ("name", "n_parameters"),
        [
            ("gpt2", 124_439_808),
            ("gpt2-medium", 354_823_168),
            ("gpt2-large", 774_030_080),
            ("gpt2-xl", 1_557_611_200),
        ],
    )
    def test_published_sizes(self, name: str, n_parameters: int) -> None:
        with torch.device("meta"):
            model = GPT2(GPT2Config.named(name))
        assert model.n_parameters() == n_parameters
        assert model.token_embedding.num_embeddings == 50_304

    @pytest.mark.parametrize(
        ("fields", "field"),
        [
            ({"n_embd": 100, "n_head": 3}, "n_embd"),
            ({"n_layer": 0}, "n_layer"),
            ({"vocab_size": "many"}, "vocab_size"),
            ({"resid_pdrop": 1.0}, "resid_pdrop"),
            ({"n_layers": 3}, "n_layers: no such field"),
        ],
    )
    def test_a_wrong_value_names_its_field(self, fields: dict[str, object], field: str) -> None:
        with pytest.raises(ConfigError, match=field):
            GPT2Config(**fields)

    def test_flops_of_gpt2_are_the_papers(self) -> None:
        with torch.device("meta"):
            model = GPT2(GPT2Config.named("gpt2"))
        # 6 N with the 786,432 numbers of the position table left out, and 12 L H Q T of attention
        assert model.flops_per_token(1024) == 6 * (124_439_808 - 786_432) + 12 * 12 * 768 * 1024

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(ConfigError, match=r"gpt3.*gpt2-medium"):
            GPT2Config.named("gpt3")

    def test_is_frozen(self) -> None:
        with pytest.raises(ValueError, match="frozen"):
            TINY.n_layer = 3


class TestInitialization:
    def test_loss_is_near_the_logarithm_of_the_vocabulary(self) -> None:
        torch.manual_seed(0)
        model = GPT2(GPT2Config(vocab_size=5_000, n_positions=64, n_embd=64, n_layer=2, n_head=2))
        ids = torch.randint(0, 5_000, (4, 65))
        loss = model(ids[:, :-1], ids[:, 1:])[1]
        assert float(loss.detach()) == pytest.approx(math.log(5_000), abs=0.05)

    def test_spread_of_the_weights(self) -> None:
        torch.manual_seed(0)
        model = GPT2(GPT2Config(vocab_size=1_000, n_positions=64, n_embd=128, n_layer=8, n_head=2))
        block = model.blocks[3]
        assert block.attention.qkv.weight.std().item() == pytest.approx(0.02, rel=0.03)
        assert model.position_embedding.weight.std().item() == pytest.approx(0.02, rel=0.05)
        for projection in (block.attention.projection, block.mlp.contract):
            assert projection.weight.std().item() == pytest.approx(0.02 / math.sqrt(16), rel=0.03)
            assert not projection.bias.any()

    def test_options_change_the_modules(self) -> None:
        model = tiny_model(qkv_bias=False, n_inner=10, pad_vocab_to=1)
        assert model.blocks[0].attention.qkv.bias is None
        assert model.blocks[0].mlp.expand.out_features == 10
        assert model.token_embedding.num_embeddings == 50

    def test_dropout_works_in_training_only(self) -> None:
        model, ids = tiny_model(resid_pdrop=0.5, attn_pdrop=0.5, embd_pdrop=0.5), random_ids(2, 8)
        assert not torch.equal(model(ids)[0], model(ids)[0])
        model.eval()
        assert torch.equal(model(ids)[0], model(ids)[0])


class TestForward:
    def test_no_token_sees_a_later_one(self) -> None:
        model, ids = tiny_model(), random_ids(2, 10)
        changed = ids.clone()
        changed[:, 6:] = (changed[:, 6:] + 1) % 50
        before, after = model(ids)[0], model(changed)[0]
        assert torch.equal(before[:, :6], after[:, :6])
        assert not torch.isclose(before[:, 6:], after[:, 6:]).all(dim=-1).any()

    def test_loss_is_the_mean_over_targets_of_the_logits_cross_entropy(self) -> None:
        model, ids = tiny_model(), random_ids(3, 12)
        targets = random_ids(3, 12).roll(1)
        targets[0, 3:] = -100
        logits, none = model(ids)
        assert none is None
        assert logits.shape == (3, 12, 50)
        none, loss = model(ids, targets)
        assert none is None
        torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), targets.flatten()))
        loss_sum, n_targets = model.loss_sum(ids, targets)
        assert int(n_targets) == 27
        torch.testing.assert_close(loss_sum, loss * 27)
        assert torch.equal(model(ids, targets, reduction="sum")[1], loss_sum)

    def test_nothing_asked_costs_nothing(self) -> None:
        model = tiny_model()
        loss = model(random_ids(1, 4), torch.full((1, 4), -100))[1]
        loss.backward()
        assert float(loss.detach()) == 0
        assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)

    def test_ragged_micro_batches_add_up_exactly(self) -> None:
        whole, parts = tiny_model(), tiny_model()
        ids, targets = random_ids(4, 8), random_ids(4, 8).roll(1)
        targets[0, 1:] = -100
        whole(ids, targets)[1].backward()
        n_targets = (targets != -100).sum()
        for rows in (slice(0, 1), slice(1, 4)):
            (parts(ids[rows], targets[rows], reduction="sum")[1] / n_targets).backward()
        for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-7)

    def test_padded_rows_get_no_gradient_and_do_not_change_the_loss(self) -> None:
        ids, targets = random_ids(2, 8), random_ids(2, 8).roll(1)
        padded, plain = tiny_model(), tiny_model(pad_vocab_to=1)
        plain.load_state_dict(
            {n: t[:50] if n == "token_embedding.weight" else t for n, t in padded.state_dict().items()}
        )
        loss = padded(ids, targets)[1]
        torch.testing.assert_close(loss, plain(ids, targets)[1])
        loss.backward()
        assert not padded.token_embedding.weight.grad[50:].any()
        assert padded.token_embedding.weight.grad[:50].any()

    def test_fresh_padding_is_zero(self) -> None:
        assert not GPT2(TINY).token_embedding.weight[50:].any()

    @pytest.mark.parametrize(
        ("ids", "message"),
        [
            (torch.zeros(1, 17, dtype=torch.int64), "17 tokens do not fit into the model's 16 positions"),
            (torch.tensor([[1, 2], [3, 50]]), r"ids\[1, 1\] is 50.*0 to 49"),
            (torch.tensor([[-1, 2]]), r"ids\[0, 0\] is -1"),
        ],
    )
    def test_wrong_ids_are_named(self, ids: torch.Tensor, message: str) -> None:
        with pytest.raises(DataError, match=message):
            tiny_model()(ids)

    def test_wrong_targets_are_named(self) -> None:
        with pytest.raises(DataError, match=r"targets\[0, 1\] is 63"):
            tiny_model()(random_ids(1, 2), torch.tensor([[0, 63]]))
        with pytest.raises(DataError, match="shape"):
            tiny_model()(random_ids(1, 2), random_ids(1, 3))

    def test_bf16_autocast_is_close(self) -> None:
        model, ids = tiny_model(), random_ids(2, 16)
        exact = model(ids, ids.roll(-1))[1]
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(ids, ids.roll(-1))[1]
        assert rounded.dtype == torch.float32
        assert rounded.item() == pytest.approx(exact.item(), rel=0.01)


class TestCrossEntropy:
    @settings(deadline=None, max_examples=40)
    @given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 9), st.integers(1, 3_000), st.randoms())
    def test_equals_the_definition(self, n: int, classes: int, padding: int, slab_bytes: int, random) -> None:
        generator = torch.Generator().manual_seed(random.randrange(2**32))
        hidden = torch.randn(n, 5, generator=generator, dtype=torch.float64)
        weight = torch.randn(classes + padding, 5, generator=generator, dtype=torch.float64)
        targets = torch.randint(0, classes, (n,), generator=generator)
        targets[torch.rand(n, generator=generator) < 0.3] = -100
        results = []
        for by in (
            lambda h, w: F.cross_entropy(h @ w[:classes].T, targets, reduction="sum"),
            lambda h, w: cross_entropy_by_definition(h, w, targets, n_classes=classes),
            lambda h, w: cross_entropy_sum(h, w, targets, n_classes=classes, slab_bytes=slab_bytes).double(),
        ):
            h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
            loss = by(h, w)
            (3 * loss).backward()
            results.append((loss.detach(), h.grad, w.grad))
        for torchs, definition, ours in zip(*results, strict=True):
            torch.testing.assert_close(definition, torchs)
            torch.testing.assert_close(ours, definition, rtol=1e-5, atol=1e-5)

    def test_very_unlikely_targets_cost_a_finite_loss(self) -> None:
        weight = torch.tensor([[400.0], [0.0]])
        loss = cross_entropy_sum(torch.ones(1, 1), weight, torch.tensor([1]), n_classes=2)
        assert float(loss) == 400

    def test_a_frozen_weight_gets_no_gradient(self) -> None:
        hidden, weight = torch.randn(4, 3, requires_grad=True), torch.randn(7, 3)
        cross_entropy_sum(hidden, weight, torch.tensor([0, 1, 2, 3]), n_classes=7).backward()
        assert hidden.grad is not None
        assert weight.grad is None

    def test_slabs_bound_what_exists_at_once(self) -> None:
        largest = 0

        class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
            def __torch_dispatch__(self, function, types, args=(), kwargs=None):
                nonlocal largest
                result = function(*args, **(kwargs or {}))
                if isinstance(result, torch.Tensor):
                    largest = max(largest, result.numel())
                return result

        hidden = torch.randn(300, 4, requires_grad=True)
        weight = torch.randn(1_000, 4, requires_grad=True)
        with Sizes():
            cross_entropy_sum(
                hidden, weight, torch.zeros(300, dtype=torch.int64), n_classes=1_000, slab_bytes=40_000
            ).backward()
        assert largest == 10_000  # ten rows of logits; all of them would be 300,000


class TestAttention:
    def test_weights_of_self_attention_are_a_mean(self) -> None:
        values = torch.tensor([[1.0], [2.0], [6.0]])
        same = torch.zeros(3, 1)
        assert self_attention(same, same, values).flatten().tolist() == [3.0, 3.0, 3.0]
        assert causal_attention(same, same, values).flatten().tolist() == [1.0, 1.5, 3.0]

    def test_one_head_is_causal_attention(self) -> None:
        q, k, v = torch.randn(3, 2, 7, 8)
        torch.testing.assert_close(multi_head_attention(q, k, v, 1), causal_attention(q, k, v))

    def test_the_last_token_of_causal_attention_is_that_of_self_attention(self) -> None:
        q, k, v = torch.randn(3, 2, 7, 8)
        torch.testing.assert_close(causal_attention(q, k, v)[:, -1], self_attention(q, k, v)[:, -1])

    def test_the_module_agrees_with_the_definition(self) -> None:
        torch.manual_seed(0)
        module = CausalSelfAttention(TINY)
        x = torch.randn(2, 9, 24)
        q, k, v = module.qkv(x).chunk(3, dim=-1)
        torch.testing.assert_close(module(x), module.projection(multi_head_attention(q, k, v, 3)))

    def test_written_out_attention_agrees_with_the_fused_kernel(self) -> None:
        model, ids = tiny_model(), random_ids(2, 9)
        fused = model(ids)[0]
        torch.testing.assert_close(write_out_attention(model)(ids)[0], fused, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("n_tokens", [0, 1, 7, 256, 257, 600])
    def test_blocks_of_queries_give_what_the_fused_kernel_gives(self, n_tokens: int) -> None:
        ways = lambda q, k, v: attend_in_blocks(q, k, v, 0.0), partial(F.scaled_dot_product_attention, is_causal=True)
        torch.testing.assert_close(*forward_and_backward(ways, n_tokens), rtol=1e-4, atol=1e-5)

    def test_blocks_of_queries_drop_weights_and_keep_their_mean(self) -> None:
        torch.manual_seed(0)
        q, k = torch.randn(2, 4, 3, 300, 8)
        sums = attend_in_blocks(q, k, torch.ones(4, 3, 300, 1).expand(-1, -1, -1, 8), 0.5)
        assert sums.std() > 0.05
        assert sums.mean().item() == pytest.approx(1, abs=0.05)

    def test_blocks_of_queries_are_not_compiled_for_each_length(self) -> None:
        counter = CompileCounter()
        compiled = torch.compile(attend_in_blocks, backend=counter)
        for n_tokens in (5, 9, 11, 200, 201, 300, 301, 500):
            compiled(*torch.randn(3, 1, 2, n_tokens, 4), 0.0)
        assert counter.frame_count == 3  # the first length, one block, two blocks

    def test_gelu_is_the_same_compiled(self) -> None:
        mlp, x = MLP(TINY), 4 * torch.randn(5, TINY.n_embd)
        counter = CompileCounter()
        torch.testing.assert_close(torch.compile(mlp, backend=counter)(x), mlp(x))
        assert counter.frame_count == 1

    def test_activations_computed_again_give_the_same_gradients(self) -> None:
        ids, gradients = random_ids(2, 9), []
        for again in (False, True):
            model = tiny_model()
            model.checkpoints_activations = again
            model(ids[:, :-1], ids[:, 1:])[1].backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        for kept, computed in zip(*gradients, strict=True):
            torch.testing.assert_close(kept, computed)


class TestCache:
    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=6).filter(lambda parts: sum(parts) <= 16))
    def test_any_cut_gives_the_logits_of_the_whole(self, parts: list[int]) -> None:
        model = tiny_model().eval()
        ids = random_ids(2, sum(parts))
        cache = KeyValueCache(TINY)
        with torch.no_grad():
            pieces = [model(part, cache=cache)[0] for part in ids.split(parts, dim=1)]
            whole = model(ids)[0]
        assert cache.length == sum(parts)
        torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-4, atol=1e-5)

    def test_one_token_at_a_time_in_bf16_is_as_close_as_all_at_once(self) -> None:
        exact_model, cache = tiny_model(), KeyValueCache(TINY)
        ids = random_ids(3, 16)
        with torch.no_grad():
            exact = exact_model(ids)[0]
            model = tiny_model().bfloat16()
            at_once = model(ids)[0].float()
            one_by_one = torch.cat([model(column, cache=cache)[0] for column in ids.split(1, dim=1)], dim=1).float()
        rounding = (at_once - exact).abs().max().item()
        assert 0 < rounding < 0.1
        assert (one_by_one - exact).abs().max().item() < 2 * rounding

    def test_overflow_names_the_lengths(self) -> None:
        model, cache = tiny_model(), KeyValueCache(TINY)
        with torch.no_grad():
            model(random_ids(1, 10), cache=cache)
            with pytest.raises(DataError, match=r"7 tokens after 10 in the cache.*16"):
                model(random_ids(1, 7), cache=cache)


class TestNativeFiles:
    def test_round_trip_is_bit_equal(self, tmp_path) -> None:
        model = tiny_model()
        save_model(model, tmp_path / "new" / "folder")
        again = load_model(tmp_path / "new" / "folder")
        assert again.config == model.config
        assert again.state_dict().keys() == model.state_dict().keys()
        for name, tensor in again.state_dict().items():
            assert torch.equal(tensor, model.state_dict()[name]), name
        assert all(parameter.requires_grad for parameter in again.parameters())
        assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
            "config.json",
            "model.safetensors",
        ]

    def test_a_cut_file_is_named(self, tmp_path) -> None:
        save_model(tiny_model(), tmp_path)
        weights = tmp_path / "model.safetensors"
        whole = weights.read_bytes()
        for length in (0, 5, 300, len(whole) - 1):
            weights.write_bytes(whole[:length])
            with pytest.raises(FormatError, match=r"model\.safetensors: .*cut short"):
                load_model(tmp_path)

    def test_a_missing_file_is_named(self, tmp_path) -> None:
        with pytest.raises(FormatError, match=r"config\.json: there is no such file"):
            load_model(tmp_path)

    @pytest.mark.parametrize("text", ["[]", "{", '{"format": "bytemill-gpt2", "version": 2}'])
    def test_a_foreign_config_is_refused(self, tmp_path, text: str) -> None:
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(FormatError, match=r"config\.json"):
            load_model(tmp_path)

    def test_weights_of_another_shape_are_refused(self, tmp_path) -> None:
        save_model(tiny_model(), tmp_path / "a")
        save_model(tiny_model(n_embd=48), tmp_path / "b")
        (tmp_path / "a" / "config.json").replace(tmp_path / "b" / "config.json")
        with pytest.raises(FormatError, match="does not fit"):
            load_model(tmp_path / "b")
