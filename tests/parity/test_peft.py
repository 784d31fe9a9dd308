"""Our LoRA and peft's: equal outputs, equal gradients, and files that either reads."""

import pytest
import torch
from torch import nn

from bytemill.model import GPT2
from bytemill.model.lora import (
    LoraConfig,
    apply_lora,
    load_adapter,
    lora_parameters,
    merge_lora,
    save_adapter,
)

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
peft = pytest.importorskip("peft", reason="extra `hf` is not installed")

IDS = torch.randint(0, 100, (2, 16), generator=torch.Generator().manual_seed(0))

KINDS = [
    {},
    {"bias": "lora_only"},
    {"bias": "all"},
    {"use_rslora": True, "lora_alpha": 7},
    {"use_dora": True},
    {"use_dora": True, "bias": "lora_only", "use_rslora": True},
]


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=100, n_positions=16, n_embd=24, n_layer=2, n_head=3, bos_token_id=None, eos_token_id=None
    )
    return transformers.GPT2LMHeadModel(config).eval()


def bloom() -> nn.Module:
    torch.manual_seed(0)
    config = transformers.BloomConfig(vocab_size=100, hidden_size=24, n_layer=2, n_head=3)
    return transformers.BloomForCausalLM(config).eval()


# Model, its targets, and whether these are Conv1D.
BASES = [(gpt2, ["c_attn", "c_proj"], True), (bloom, ["query_key_value", "dense", "dense_h_to_4h"], False)]


def peft_model(base: nn.Module, targets: list[str], is_conv1d: bool, kind: dict[str, object]) -> nn.Module:
    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 16, "target_modules": targets, "fan_in_fan_out": is_conv1d} | kind
    )
    model = peft.get_peft_model(base, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def assert_equal_training(ours: nn.Module, theirs: nn.Module) -> None:
    """Equal logits, and equal gradients of every trained tensor, to 1e-5."""
    one, other = ours(IDS).logits, theirs(IDS).logits
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    one.square().mean().backward()
    other.square().mean().backward()
    gradients = [p.grad for p in ours.parameters() if p.requires_grad]
    expected = [p.grad for p in theirs.parameters() if p.requires_grad]
    assert len(gradients) == len(expected) == len(lora_parameters(ours))
    by_size = [
        sorted(tensors, key=lambda tensor: (tensor.numel(), float(tensor.abs().sum())))
        for tensors in (gradients, expected)
    ]
    for gradient, right in zip(*by_size, strict=True):
        assert right.any()
        torch.testing.assert_close(gradient, right, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("base", "targets", "is_conv1d"), BASES, ids=["conv1d", "linear"])
class TestBothWays:
    def test_their_adapter_on_our_lora(self, base, targets, is_conv1d, kind, tmp_path) -> None:
        theirs = peft_model(base(), targets, is_conv1d, kind)
        theirs.save_pretrained(tmp_path)
        ours = load_adapter(base(), tmp_path)
        assert_equal_training(ours, theirs)

    def test_our_adapter_on_their_lora(self, base, targets, is_conv1d, kind, tmp_path) -> None:
        ours = apply_lora(base(), LoraConfig(**{"r": 4, "target_modules": targets} | kind))
        with torch.no_grad():
            for parameter in lora_parameters(ours):
                parameter.add_(0.1 * torch.randn_like(parameter))
        save_adapter(ours, tmp_path)
        theirs = peft.PeftModel.from_pretrained(base(), tmp_path, is_trainable=True).eval()
        assert_equal_training(ours, theirs)

    def test_equal_merges(self, base, targets, is_conv1d, kind, tmp_path) -> None:
        theirs = peft_model(base(), targets, is_conv1d, kind)
        theirs.save_pretrained(tmp_path)
        ours = merge_lora(load_adapter(base(), tmp_path), unwrap=True)
        merged = theirs.merge_and_unload()
        for name, tensor in merged.state_dict().items():
            torch.testing.assert_close(ours.state_dict()[name], tensor, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("targets", [["c_attn"], ["qkv", "expand"], r"blocks\.1\..*", "all-linear"], ids=str)
def test_an_adapter_of_our_gpt2_works_in_peft_and_back(kind, targets, tmp_path) -> None:
    base = gpt2()
    base.save_pretrained(tmp_path / "base")
    ours = apply_lora(
        GPT2.from_huggingface(tmp_path / "base").eval(),
        LoraConfig(**{"r": 4, "target_modules": targets} | kind),
    )
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in lora_parameters(ours):
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_adapter(ours, tmp_path / "adapter")
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    with torch.no_grad():
        expected = ours(IDS)[0]
        torch.testing.assert_close(theirs(IDS).logits, expected, atol=1e-5, rtol=0)
        theirs.save_pretrained(tmp_path / "back")
        again = load_adapter(GPT2.from_huggingface(tmp_path / "base").eval(), tmp_path / "back")
        torch.testing.assert_close(again(IDS)[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("r", "targets", "n_trained", "n_all"),
    [
        (4, ["query_key_value"], 466_944, 559_607_808),
        (32, ["query_key_value"], 3_219_456, 562_360_320),
        (64, ["query_key_value", "dense"], 9_535_488, 568_651_776),
    ],
)
def test_counts_of_the_reports_on_bloom_560m(r: int, targets: list[str], n_trained: int, n_all: int) -> None:
    """Requirement L4, on the meta device: no weight is made."""
    config = transformers.BloomConfig(vocab_size=250_880, hidden_size=1_024, n_layer=24, n_head=16)
    with torch.device("meta"):
        model = transformers.BloomForCausalLM(config)
    apply_lora(model, LoraConfig(r=r, target_modules=targets, bias="lora_only"))
    assert sum(p.numel() for p in lora_parameters(model)) == n_trained
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == n_trained
    assert sum(p.numel() for p in model.parameters()) == n_all
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_the_head_of_a_transformers_model_is_left_out() -> None:
    for base in (gpt2, bloom):
        model = apply_lora(base(), LoraConfig(r=1, target_modules="all-linear"))
        assert isinstance(model.lm_head, nn.Linear)
