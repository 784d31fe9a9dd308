"""LoRA on its own: what is wrapped, what trains, what is merged, what is refused."""

import math

import pytest
import torch
from torch import nn

from bytemill.errors import ConfigError, FormatError
from bytemill.model import GPT2, GPT2Config, generate
from bytemill.model.lora import (
    LoraConfig,
    LoraLayer,
    add_adapter,
    apply_lora,
    is_own_adapter,
    load_adapter,
    lora_parameters,
    merge_lora,
    save_adapter,
    unmerge_lora,
)
from bytemill.model.lora.layer import lora_by_definition
from bytemill.model.lora.peft_backend import apply_peft

IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])


def tiny_model(**overrides: object) -> GPT2:
    torch.manual_seed(0)
    fields = {"vocab_size": 50, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3} | overrides
    return GPT2(GPT2Config(**fields))


def adapted(targets: object = ("c_attn", "c_proj"), **fields: object) -> GPT2:
    """An adapted model whose updates are not zero."""
    model = apply_lora(tiny_model(), LoraConfig(r=3, target_modules=targets, **fields))
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def wrapped_names(model: nn.Module) -> set[str]:
    return {name for name, module in model.named_modules() if isinstance(module, LoraLayer)}


def logits(model: GPT2) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS)[0]


KINDS = [{}, {"use_rslora": True}, {"use_dora": True}, {"bias": "lora_only"}, {"bias": "all"}]


@pytest.mark.parametrize("fields", KINDS)
def test_a_fresh_adapter_changes_nothing(fields: dict[str, object]) -> None:
    model = apply_lora(tiny_model(), LoraConfig(r=3, target_modules="all-linear", **fields))
    torch.testing.assert_close(logits(model), logits(tiny_model()))


@pytest.mark.parametrize("fields", KINDS)
def test_only_the_adapter_trains(fields: dict[str, object]) -> None:
    model = adapted(**fields)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    trained = lora_parameters(model)
    model(IDS, IDS.roll(-1))[1].backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    for name, parameter in model.named_parameters():
        is_trained = any(parameter is other for other in trained)
        assert parameter.requires_grad == is_trained, name
        assert torch.equal(parameter, before[name]) != is_trained, name


@pytest.mark.parametrize(
    ("bias", "extra"), [("none", 0), ("lora_only", 2 * 72), ("all", 2 * (72 + 24 + 96 + 24 + 24 + 24) + 24)]
)
def test_biases_that_train(bias: str, extra: int) -> None:
    model = apply_lora(tiny_model(), LoraConfig(r=3, target_modules=["qkv"], bias=bias))
    assert sum(p.numel() for p in lora_parameters(model)) == 2 * 3 * (24 + 72) + extra


@pytest.mark.parametrize(
    ("targets", "kinds"),
    [
        (["qkv"], {"attention.qkv"}),
        (["c_attn"], {"attention.qkv"}),
        ("c_attn", {"attention.qkv"}),
        ("attn.c_proj", {"attention.projection"}),
        ("qkv", {"attention.qkv"}),
        (["c_proj"], {"attention.projection", "mlp.contract"}),
        (["mlp.c_proj", "c_fc"], {"mlp.expand", "mlp.contract"}),
        (r".*\.(expand|contract)", {"mlp.expand", "mlp.contract"}),
        (r"transformer\.h\.\d+\.attn\.c_attn", {"attention.qkv"}),
        ("all-linear", {"attention.qkv", "attention.projection", "mlp.expand", "mlp.contract"}),
    ],
)
def test_targets_in_both_languages(targets: object, kinds: set[str]) -> None:
    model = apply_lora(tiny_model(), LoraConfig(r=1, target_modules=targets))
    assert wrapped_names(model) == {f"blocks.{block}.{kind}" for block in (0, 1) for kind in kinds}


def test_one_block_alone() -> None:
    for targets in (
        ["blocks.1.attention.qkv"],
        ["transformer.h.1.attn.c_attn"],
        r"blocks\.1\.attention\.qkv",
    ):
        model = apply_lora(tiny_model(), LoraConfig(r=1, target_modules=targets))
        assert wrapped_names(model) == {"blocks.1.attention.qkv"}


@pytest.mark.parametrize("targets", [["q_proj"], ["qkv", "q_proj"], "q_proj.*", ["token_embedding"], ["wte"]])
def test_an_unknown_target_lists_what_there_is(targets: object) -> None:
    model = tiny_model()
    with pytest.raises(ConfigError, match="it has contract, expand, projection, qkv"):
        apply_lora(model, LoraConfig(r=1, target_modules=targets))
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"r": 0}, "r"),
        ({"lora_dropout": 1.0}, "lora_dropout"),
        ({"bias": "some"}, "bias"),
        ({"rank": 3}, "rank"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, object], name: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name}: "):
        LoraConfig(**{"target_modules": ["qkv"], **fields})


class Tied(nn.Module):
    """An embedding with a tied head of its own, as in transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(10, 4)
        self.inner = nn.Linear(4, 4)
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight


def test_a_tied_head_is_never_a_target() -> None:
    assert wrapped_names(apply_lora(Tied(), LoraConfig(r=1, target_modules="all-linear"))) == {"inner"}
    for targets in (["head"], ".*"):
        with pytest.raises(ConfigError, match="head shares its weight"):
            apply_lora(Tied(), LoraConfig(r=1, target_modules=targets))


def test_a_second_adapter_is_refused() -> None:
    with pytest.raises(ConfigError, match="already has an adapter"):
        apply_lora(adapted(), LoraConfig(r=1, target_modules=["qkv"]))
    with pytest.raises(ConfigError, match="the model has no adapter"):
        lora_parameters(tiny_model())


class TestLayer:
    def test_the_equation(self) -> None:
        torch.manual_seed(0)
        base = nn.Linear(6, 4)
        layer = LoraLayer(base, LoraConfig(r=2, lora_alpha=6, target_modules=["x"]))
        with torch.no_grad():
            layer.active_update.lora_B.normal_()
        x = torch.randn(3, 6)
        expected = lora_by_definition(x, base, layer.active_update.lora_A, layer.active_update.lora_B, scaling=6 / 2)
        torch.testing.assert_close(layer(x), expected)

    def test_fresh_values(self) -> None:
        torch.manual_seed(0)
        layer = LoraLayer(nn.Linear(400, 300), LoraConfig(r=64, target_modules=["x"]))
        assert not layer.active_update.lora_B.any()
        bound = 1 / math.sqrt(400)  # Kaiming-uniform with a = sqrt(5)
        assert bound * 0.99 < layer.active_update.lora_A.abs().max().item() <= bound
        assert layer.active_update.lora_A.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.02)

    def test_dropout_reaches_the_adapter_only(self) -> None:
        torch.manual_seed(0)
        layer = LoraLayer(nn.Linear(6, 4), LoraConfig(r=2, lora_dropout=0.5, target_modules=["x"]))
        x = torch.randn(3, 6)
        assert torch.equal(layer(x), layer.base_layer(x))  # B is zero
        with torch.no_grad():
            layer.active_update.lora_B.normal_()
        assert not torch.equal(layer(x), layer(x))
        assert torch.equal(layer.eval()(x), layer(x))

    @pytest.mark.parametrize("use_dora", [False, True])
    def test_a_half_precision_base_keeps_its_type_and_gets_an_adapter_in_fp32(self, use_dora: bool) -> None:
        layer = LoraLayer(
            nn.Linear(6, 4, dtype=torch.bfloat16), LoraConfig(r=2, target_modules=["x"], use_dora=use_dora)
        )
        assert {p.dtype for p in layer.active_update.parameters()} == {torch.float32}
        assert layer(torch.randn(3, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16

    @pytest.mark.parametrize("use_dora", [False, True])
    @pytest.mark.parametrize("dropout", [0.0, 0.5])
    def test_under_autocast_it_agrees_with_fp32_within_its_rounding(self, use_dora: bool, dropout: float) -> None:
        torch.manual_seed(0)
        config = LoraConfig(r=2, lora_dropout=dropout, target_modules=["x"], use_dora=use_dora)
        layer = LoraLayer(nn.Linear(6, 4), config).eval()
        with torch.no_grad():
            layer.active_update.lora_B.normal_()
        x = torch.randn(3, 5, 6)
        expected = layer(x)
        expected.sum().backward()
        right = layer.active_update.lora_A.grad.clone()
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            given = layer(x)
        given.float().sum().backward()
        torch.testing.assert_close(given.float(), expected, atol=0.1, rtol=0.03)
        torch.testing.assert_close(layer.active_update.lora_A.grad, right, atol=0.2, rtol=0.03)
        assert layer.active_update.lora_A.grad.dtype == torch.float32

    def test_dora_rows_have_the_learned_lengths(self) -> None:
        torch.manual_seed(0)
        layer = LoraLayer(nn.Linear(6, 4), LoraConfig(r=2, target_modules=["x"], use_dora=True))
        with torch.no_grad():
            layer.active_update.lora_B.normal_()
            layer.active_update.lora_magnitude_vector.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
        layer.merge()
        lengths = torch.linalg.vector_norm(layer.base_layer.weight.detach(), dim=1)
        torch.testing.assert_close(lengths, torch.tensor([1.0, 2.0, 3.0, 4.0]))


class TestMerge:
    @pytest.mark.parametrize("fields", KINDS)
    def test_merged_outputs_are_equal_and_unmerged_weights_too(self, fields: dict[str, object]) -> None:
        model = adapted(**fields)
        weight = model.blocks[0].attention.qkv.base_layer.weight
        before, base = logits(model), weight.detach().clone()
        assert (before - logits(tiny_model())).abs().max() > 1e-3
        merge_lora(merge_lora(model))  # once is enough
        torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=0)
        assert not torch.allclose(weight, base)
        unmerge_lora(unmerge_lora(model))
        torch.testing.assert_close(weight.detach(), base, atol=1e-6, rtol=0)
        torch.testing.assert_close(logits(model), before, atol=1e-5, rtol=0)

    def test_unwrapping_leaves_a_plain_model(self, tmp_path) -> None:
        model = adapted()
        before = logits(model)
        with pytest.raises(ConfigError, match="not part of a plain GPT-2"):
            model.save_huggingface(tmp_path)
        merge_lora(model, unwrap=True)
        assert model.state_dict().keys() == tiny_model().state_dict().keys()
        model.save_huggingface(tmp_path)
        torch.testing.assert_close(logits(GPT2.from_huggingface(tmp_path)), before, atol=1e-5, rtol=0)

    def test_an_adapted_model_generates(self) -> None:
        model = adapted()
        prompt = IDS[:, :2]
        unmerged = generate(model, prompt, max_new_tokens=20, temperature=0)
        assert torch.equal(unmerged, generate(merge_lora(model), prompt, max_new_tokens=20, temperature=0))


class TestFiles:
    @pytest.mark.parametrize("fields", KINDS)
    def test_round_trip_onto_a_plain_and_onto_an_adapted_model(self, tmp_path, fields) -> None:
        model = adapted(**fields)
        save_adapter(model, tmp_path / "new" / "adapter")
        plain = load_adapter(tiny_model(), tmp_path / "new" / "adapter")
        assert torch.equal(logits(plain), logits(model))
        assert len(lora_parameters(plain)) == len(lora_parameters(model))
        again = apply_lora(tiny_model(), LoraConfig(r=3, target_modules=["qkv", "c_proj"], **fields))
        load_adapter(merge_lora(again), tmp_path / "new" / "adapter")
        assert torch.equal(logits(again), logits(model))

    def test_a_part_of_a_larger_model(self, tmp_path) -> None:
        def classifier() -> nn.Module:
            return nn.ModuleDict({"body": tiny_model(), "head": nn.Linear(24, 2)})

        model = apply_lora(classifier(), LoraConfig(r=2, target_modules=["c_attn", "head"]))
        assert wrapped_names(model) == {"body.blocks.0.attention.qkv", "body.blocks.1.attention.qkv", "head"}
        save_adapter(model, tmp_path)
        assert wrapped_names(load_adapter(classifier(), tmp_path)) == wrapped_names(model)

    @pytest.mark.parametrize(
        ("other", "message"),
        [
            ({"n_embd": 48}, r"lora_A of blocks\.0\.attention\.\w+ has shape \(3, 24\).*\(3, 48\)"),
            ({"n_layer": 1}, r"transformer\.h\.1\.attn\.c_attn.*another base"),
        ],
    )
    def test_another_base_is_refused_and_left_alone(self, tmp_path, other, message) -> None:
        save_adapter(adapted(), tmp_path)
        model = tiny_model(**other)
        with pytest.raises(FormatError, match=message):
            load_adapter(model, tmp_path)
        assert not wrapped_names(model)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_another_kind_of_adapter_is_refused(self, tmp_path) -> None:
        save_adapter(adapted(), tmp_path)
        with pytest.raises(FormatError, match=r"scaling is 5\.33.*has 10"):
            load_adapter(adapted(lora_alpha=30), tmp_path)
        with pytest.raises(FormatError, match="other layers"):
            load_adapter(adapted(["c_attn"]), tmp_path)

    def test_a_cut_file_is_named(self, tmp_path) -> None:
        save_adapter(adapted(), tmp_path)
        tensors = tmp_path / "adapter_model.safetensors"
        tensors.write_bytes(tensors.read_bytes()[:-1])
        with pytest.raises(FormatError, match=r"adapter_model\.safetensors: .*cut short"):
            load_adapter(tiny_model(), tmp_path)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("peft_type", "IA3"), ("ensure_weight_tying", True), ("use_magic", True), ("init_lora_weights", "pissa")],
    )
    def test_what_we_cannot_compute_is_refused(self, tmp_path, name: str, value: object) -> None:
        import json

        save_adapter(adapted(), tmp_path)
        config = tmp_path / "adapter_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {name: value}))
        with pytest.raises(ConfigError, match=name):
            load_adapter(tiny_model(), tmp_path)


def test_counts_of_the_spam_classifier() -> None:
    """Requirement L13: GPT-2 with its fused qkv and a head of two classes, rank 16, every linear layer."""
    with torch.device("meta"):
        model = nn.ModuleDict({"body": GPT2(GPT2Config.named("gpt2", pad_vocab_to=1)), "head": nn.Linear(768, 2)})
    assert sum(p.numel() for p in model.parameters()) == 124_441_346
    apply_lora(model, LoraConfig(r=16, lora_alpha=16, target_modules="all-linear"))
    assert sum(p.numel() for p in lora_parameters(model)) == 2_371_616


class TestMode:
    """Dropout of an adapter was active in a model that evaluates: two calls differed by 0.56."""

    CONFIG = LoraConfig(r=3, lora_dropout=0.5, target_modules="all-linear")

    @pytest.mark.parametrize("training", [False, True])
    def test_apply_lora_keeps_it(self, training: bool) -> None:
        model = apply_lora(tiny_model().train(training), self.CONFIG)
        assert {module.training for module in model.modules()} == {training}
        self.assert_dropout(model, training)

    @pytest.mark.parametrize("training", [False, True])
    def test_load_adapter_and_more_adapters_keep_it(self, tmp_path, training: bool) -> None:
        save_adapter(adapted(lora_dropout=0.5), tmp_path)
        model = load_adapter(tiny_model().train(training), tmp_path)
        add_adapter(model, "more", self.CONFIG)
        assert {module.training for module in model.modules()} == {training}
        self.assert_dropout(model, training)

    def assert_dropout(self, model: GPT2, training: bool) -> None:
        with torch.no_grad():
            for parameter in lora_parameters(model):
                parameter.add_(0.3)
        torch.manual_seed(0)
        assert torch.equal(logits(model), logits(model)) != training

    @pytest.mark.parametrize("training", [False, True])
    def test_peft_as_backend_keeps_it(self, training: bool) -> None:
        pytest.importorskip("peft", reason="extra `hf` is not installed")
        model = tiny_model().train(training)
        apply_peft(model, self.CONFIG)
        assert {module.training for module in model.modules()} == {training}


class TestOwnAdapter:
    def test_it_is_known_by_its_numbers(self, tmp_path) -> None:
        model = adapted()
        save_adapter(model, tmp_path / "own")
        assert is_own_adapter(model, tmp_path / "own")
        assert not is_own_adapter(tiny_model(), tmp_path / "own")
        with torch.no_grad():
            lora_parameters(model)[3][0, 0] += 1e-3
        assert not is_own_adapter(model, tmp_path / "own")
        assert not is_own_adapter(adapted(["c_attn"]), tmp_path / "own")


def test_new_settings_left_out_leave_saved_configs_as_they_were() -> None:
    """Runs made before there were patterns compare their settings with today's when they are resumed."""
    names = {"r", "lora_alpha", "lora_dropout", "target_modules", "bias", "use_rslora", "use_dora"}
    assert LoraConfig(target_modules=["qkv"]).model_dump().keys() == names
    assert LoraConfig(target_modules=["qkv"], rank_pattern={"qkv": 2}).model_dump()["rank_pattern"] == {"qkv": 2}
