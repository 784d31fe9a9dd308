"""Several adapters on one base: what each computes, what trains, and the base when they are switched off."""

import pytest
import torch
from torch import nn

from bytemill.errors import ConfigError
from bytemill.model import GPT2, GPT2Config
from bytemill.model.lora import (
    LoraConfig,
    adapter_disabled,
    adapter_names,
    add_adapter,
    apply_lora,
    load_adapter,
    lora_parameters,
    merge_lora,
    save_adapter,
    set_adapter,
)

IDS = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])


def base() -> GPT2:
    torch.manual_seed(0)
    return GPT2(GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=3)).eval()


def logits(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS)[0]


def stirred(model: GPT2, seed: int) -> GPT2:
    """The adapter at work with updates that are not zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model


def two_adapters(**fields: object) -> GPT2:
    model = stirred(apply_lora(base(), LoraConfig(r=3, target_modules=["qkv"], **fields)), 1)
    add_adapter(model, "other", LoraConfig(r=2, target_modules=["qkv", "expand"], **fields))
    stirred(set_adapter(model, "other"), 2)
    return set_adapter(model, "default")


@pytest.mark.parametrize("fields", [{}, {"use_dora": True}, {"use_rslora": True}], ids=str)
class TestDisabled:
    def test_the_base_is_bit_equal_and_the_adapter_comes_back(self, fields) -> None:
        model = stirred(apply_lora(base(), LoraConfig(r=3, target_modules="all-linear", **fields)), 1)
        adapted = logits(model)
        with adapter_disabled(model):
            assert torch.equal(logits(model), logits(base()))
            with adapter_disabled(model):  # inside another, it ends with the outer one
                pass
            assert torch.equal(logits(model), logits(base()))
        assert torch.equal(logits(model), adapted)
        assert not torch.allclose(adapted, logits(base()))

    def test_a_merged_adapter_is_taken_out_meanwhile(self, fields) -> None:
        model = merge_lora(stirred(apply_lora(base(), LoraConfig(r=3, target_modules="all-linear", **fields)), 1))
        adapted = logits(model)
        with adapter_disabled(model):
            torch.testing.assert_close(logits(model), logits(base()), atol=1e-5, rtol=0)
        torch.testing.assert_close(logits(model), adapted, atol=1e-5, rtol=0)


def test_an_error_inside_switches_the_adapter_on_again() -> None:
    model = stirred(apply_lora(base(), LoraConfig(r=3, target_modules="all-linear")), 1)
    adapted = logits(model)
    with pytest.raises(ZeroDivisionError), adapter_disabled(model):
        raise ZeroDivisionError
    assert torch.equal(logits(model), adapted)


def test_a_plain_model_is_its_own_base() -> None:
    model = base()
    with adapter_disabled(model):
        assert torch.equal(logits(model), logits(base()))


def test_trained_biases_cannot_be_switched_off() -> None:
    model = apply_lora(base(), LoraConfig(r=3, target_modules=["qkv"], bias="lora_only"))
    with pytest.raises(ConfigError, match="bias is 'lora_only'"), adapter_disabled(model):
        pass


@pytest.mark.parametrize("fields", [{}, {"use_dora": True}], ids=str)
class TestSwitching:
    def test_each_gives_what_it_gives_alone(self, fields, tmp_path) -> None:
        model = two_adapters(**fields)
        assert adapter_names(model) == ["default", "other"]
        for name in ("default", "other", "default"):
            save_adapter(set_adapter(model, name), tmp_path / name)
            alone = load_adapter(base(), tmp_path / name)
            assert torch.equal(logits(alone), logits(model)), name
        with adapter_disabled(model):
            assert torch.equal(logits(model), logits(base()))

    def test_a_merged_one_makes_room_for_the_other(self, fields) -> None:
        model = two_adapters(**fields)
        other = logits(set_adapter(model, "other"))
        merge_lora(set_adapter(model, "default"))
        torch.testing.assert_close(logits(set_adapter(model, "other")), other, atol=1e-5, rtol=0)

    def test_only_the_one_at_work_trains(self, fields) -> None:
        model = two_adapters(**fields)
        for name, others in (("default", "other"), ("other", "default")):
            set_adapter(model, name)
            trained = {n for n, parameter in model.named_parameters() if parameter.requires_grad}
            assert trained
            assert all(f".{name}." in n and f".{others}." not in n for n in trained)
            assert len(trained) == len(lora_parameters(model))


def test_wrong_names_are_told_with_the_right_ones() -> None:
    model = two_adapters()
    with pytest.raises(ConfigError, match="no adapter is named 'third'; the adapters are default, other"):
        set_adapter(model, "third")
    for name in ("other", "", "a.b"):
        with pytest.raises(ConfigError, match="cannot name an adapter"):
            add_adapter(model, name, LoraConfig(r=1, target_modules=["qkv"]))
    with pytest.raises(ConfigError, match="share a base"):
        add_adapter(model, "third", LoraConfig(r=1, target_modules=["qkv"], bias="all"))
    with pytest.raises(ConfigError, match="the model has no adapter"):
        add_adapter(base(), "first", LoraConfig(r=1, target_modules=["qkv"]))
