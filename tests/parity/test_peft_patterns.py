"""Adapters as they are published: ranks and alphas by pattern, modules that trained in full. Equal to peft's output."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from bytemill.errors import ConfigError, FormatError
from bytemill.model import GPT2, TransformersCausal, load_model, load_pretrained, save_model
from bytemill.model.lora import (
    LoraConfig,
    adapter_disabled,
    add_adapter,
    apply_lora,
    load_adapter,
    lora_parameters,
    merge_lora,
    save_adapter,
)

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
peft = pytest.importorskip("peft", reason="extra `hf` is not installed")

IDS = torch.randint(0, 90, (2, 12), generator=torch.Generator().manual_seed(0))
NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {"vocab_size": 90, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3}
GPT2_SIZES = {"vocab_size": 90, "n_positions": 16, "n_embd": 24, "n_layer": 2, "n_head": 3}

PATTERNS = [
    {"rank_pattern": {"layers.0.self_attn.q_proj": 6, "q_proj": 2}, "alpha_pattern": {r"layers\.1\..*v_proj": 5}},
    {"rank_pattern": {r"model\.layers\.\d+\.self_attn\.(q|v)_proj": 3}, "use_rslora": True},
    {"alpha_pattern": {"q_proj": 1.5}, "use_dora": True, "rank_pattern": {"v_proj": 2}},
    {"modules_to_save": ["lm_head"]},
    {"modules_to_save": ["embed_tokens"]},
    {"modules_to_save": ["embed_tokens", "lm_head"], "rank_pattern": {"q_proj": 2}},
    {"modules_to_save": ["norm"], "bias": "all"},
]
GPT2_PATTERNS = [
    {"rank_pattern": {"h.0.attn.c_attn": 6}, "alpha_pattern": {r"h\.1\..*": 5}},
    {"modules_to_save": ["lm_head"]},
    {"modules_to_save": ["wte"]},
    {"modules_to_save": ["wte", "wpe", "ln_f"]},
    {"modules_to_save": ["c_fc"], "rank_pattern": {"c_attn": 2}},
]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings:UserWarning"),
    pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings:UserWarning"),
]


def llama(*, tied: bool) -> nn.Module:
    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZES, **NO_IDS, max_position_embeddings=32, tie_word_embeddings=tied)
    return transformers.LlamaForCausalLM(config).eval()


def gpt2() -> nn.Module:
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2_SIZES, **NO_IDS)).eval()


def trained_by_peft(base: nn.Module, targets: list[str], fields: dict[str, object]) -> nn.Module:
    config = peft.LoraConfig(**{"r": 4, "lora_alpha": 16, "target_modules": targets} | fields)
    model = peft.get_peft_model(base, config)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


@torch.no_grad()
def assert_equal(ours: nn.Module, theirs: nn.Module) -> None:
    torch.testing.assert_close(ours.eval()(IDS)[0], theirs.eval()(IDS).logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("fields", PATTERNS, ids=str)
@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
class TestLlama:
    def test_an_adapter_of_peft_gave_other_outputs_or_was_refused(self, fields, tied, tmp_path) -> None:
        theirs = trained_by_peft(llama(tied=tied), ["q_proj", "v_proj"], fields)
        theirs.save_pretrained(tmp_path / "theirs")
        ours = load_adapter(TransformersCausal(llama(tied=tied)), tmp_path / "theirs")
        assert_equal(ours, theirs)
        assert sum(p.numel() for p in lora_parameters(ours)) == sum(
            p.numel() for p in theirs.parameters() if p.requires_grad
        )
        save_adapter(ours, tmp_path / "ours")
        assert_equal(ours, peft.PeftModel.from_pretrained(llama(tied=tied), tmp_path / "ours"))
        again = load_adapter(TransformersCausal(llama(tied=tied)), tmp_path / "ours")
        assert_equal(load_adapter(again, tmp_path / "theirs"), theirs)

    def test_merged_it_is_written_and_read_with_the_same_outputs(self, fields, tied, tmp_path) -> None:
        theirs = trained_by_peft(llama(tied=tied), ["q_proj", "v_proj"], fields)
        theirs.save_pretrained(tmp_path / "theirs")
        ours = merge_lora(load_adapter(TransformersCausal(llama(tied=tied)), tmp_path / "theirs"), unwrap=True)
        assert_equal(ours, theirs)
        ours.save_huggingface(tmp_path / "merged")
        assert_equal(load_pretrained(tmp_path / "merged"), theirs)


@pytest.mark.parametrize("fields", GPT2_PATTERNS, ids=str)
def test_an_adapter_of_peft_on_our_gpt2(fields, tmp_path) -> None:
    gpt2().save_pretrained(tmp_path / "base")
    theirs = trained_by_peft(gpt2(), ["c_attn"], fields | {"fan_in_fan_out": True})
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load_adapter(GPT2.from_huggingface(tmp_path / "base"), tmp_path / "theirs")
    assert_equal(ours, theirs)
    save_adapter(ours, tmp_path / "ours")
    assert_equal(ours, peft.PeftModel.from_pretrained(gpt2(), tmp_path / "ours"))
    merged = merge_lora(ours, unwrap=True)
    assert_equal(merged, theirs)
    save_model(merged, tmp_path / "merged")
    assert_equal(load_model(tmp_path / "merged"), theirs)


def test_patterns_and_whole_modules_train_as_in_peft(tmp_path) -> None:
    fields = {"rank_pattern": {"h.0.attn.c_attn": 6}, "modules_to_save": ["wte", "ln_f"]}
    gpt2().save_pretrained(tmp_path)
    ours = GPT2.from_huggingface(tmp_path)
    apply_lora(ours, LoraConfig(r=4, target_modules=["qkv"], **fields))
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=["c_attn"], fan_in_fan_out=True, **fields)
    theirs = peft.get_peft_model(gpt2(), config)
    padding = (128 - 90) * 24
    trained = sum(p.numel() for p in lora_parameters(ours)) - padding
    assert trained == sum(p.numel() for p in theirs.parameters() if p.requires_grad)
    assert {p for p in ours.parameters() if p.requires_grad} == set(lora_parameters(ours))
    head_before = ours.head_weight.clone()
    ours(IDS[:, :-1], IDS[:, 1:])[1].backward()
    torch.optim.SGD(lora_parameters(ours), lr=1.0).step()
    assert torch.equal(ours.head_weight, head_before)


def test_an_adapter_on_a_tied_head_changes_the_head_alone(tmp_path) -> None:
    theirs = trained_by_peft(llama(tied=True), ["lm_head", "q_proj"], {})
    with pytest.warns(UserWarning, match="save_embedding_layers"):
        theirs.save_pretrained(tmp_path)
    ours = load_adapter(TransformersCausal(llama(tied=True)), tmp_path)
    assert_equal(ours, theirs)
    assert_equal(merge_lora(ours, unwrap=True), theirs)


class TestRefused:
    def settings(self, folder, **fields) -> None:
        config = folder / "adapter_config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | fields))

    @pytest.fixture
    def adapter(self, tmp_path):
        theirs = trained_by_peft(llama(tied=False), ["q_proj"], {"rank_pattern": {"layers.0.self_attn.q_proj": 2}})
        theirs.save_pretrained(tmp_path)
        return tmp_path

    def test_a_rank_that_the_tensors_do_not_have(self, adapter) -> None:
        self.settings(adapter, rank_pattern={})
        with pytest.raises(FormatError, match=r"lora_A of network\.model\.layers\.0.* has shape \(2, 24\).*r = 4"):
            load_adapter(TransformersCausal(llama(tied=False)), adapter)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"rank_pattern": {"(": 2}}, "rank_pattern"),
            ({"rank_pattern": {"q_proj": 0}}, "rank_pattern"),
            ({"alpha_pattern": {"q_proj": "x"}}, "alpha_pattern"),
            ({"use_invention": True}, "use_invention is True, which is unknown here"),
            ({"ensure_weight_tying": True}, "ensure_weight_tying"),
        ],
        ids=str,
    )
    def test_settings_that_cannot_be_followed_are_named(self, adapter, fields, message) -> None:
        self.settings(adapter, **fields)
        model = TransformersCausal(llama(tied=False))
        with pytest.raises(ConfigError, match=message):
            load_adapter(model, adapter)
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_nan_in_an_adapter_was_loaded(self, adapter) -> None:
        file = adapter / "adapter_model.safetensors"
        tensors = load_file(file)
        next(iter(tensors.values()))[0, 0] = torch.nan
        save_file(tensors, file)
        with pytest.raises(FormatError, match=r"adapter_model\.safetensors: .*lora_A.* holds NaN"):
            load_adapter(TransformersCausal(llama(tied=False)), adapter)

    def test_an_adapter_in_a_pickle_was_a_missing_file(self, adapter) -> None:
        (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
        with pytest.raises(FormatError, match=r"adapter_model\.bin: is a pickle.*save_pretrained"):
            load_adapter(TransformersCausal(llama(tied=False)), adapter)

    def test_a_module_that_is_not_there(self) -> None:
        model = TransformersCausal(llama(tied=False))
        with pytest.raises(ConfigError, match="modules_to_save: 'score' matches no module"):
            apply_lora(model, LoraConfig(target_modules=["q_proj"], modules_to_save=["score"]))
        assert all(parameter.requires_grad for parameter in model.parameters())

    def test_whole_modules_cannot_be_switched_off_or_shared(self) -> None:
        config = LoraConfig(target_modules=["q_proj"], modules_to_save=["lm_head"])
        model = apply_lora(TransformersCausal(llama(tied=True)), config)
        with pytest.raises(ConfigError, match="modules_to_save"), adapter_disabled(model):
            pass
        with pytest.raises(ConfigError, match="modules_to_save"):
            add_adapter(model, "more", LoraConfig(target_modules=["q_proj"]))
