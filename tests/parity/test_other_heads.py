"""Networks of transformers that do more with hidden states than a linear layer, and files that do not fit a network."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from bytemill.errors import ConfigError, FormatError
from bytemill.model import TransformersCausal, generate, load_pretrained
from bytemill.model.foreign import import_weights
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

VOCAB = 97
IDS = torch.randint(3, VOCAB, (2, 12), generator=torch.Generator().manual_seed(0))
TARGETS = torch.where(torch.arange(12) % 3 == 0, -100, IDS.roll(-1, dims=1))
NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    **NO_IDS,
}
GPTJ = {"vocab_size": VOCAB, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "rotary_dim": 4}
OPT = {"vocab_size": VOCAB, "hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}

MAMBA = {"mamba_chunk_size": 8, "mamba_n_heads": 4, "mamba_d_ssm": 32, "mamba_d_head": 8, "mamba_d_state": 8}
CONFIGS = {
    "phi, a bias": lambda: transformers.PhiConfig(**SIZES),
    "gptj, a bias": lambda: transformers.GPTJConfig(**GPTJ, **NO_IDS),
    "gemma2, a soft cap": lambda: transformers.Gemma2Config(**SIZES, head_dim=8),
    "cohere, a scale": lambda: transformers.CohereConfig(**SIZES),
    "granite, a scale": lambda: transformers.GraniteConfig(**SIZES, logits_scaling=8.0),
    "falcon_h1, a scale": lambda: transformers.FalconH1Config(**SIZES, **MAMBA, lm_head_multiplier=3.0),
}
PLAIN = {
    "granite, a scale of 1": lambda: transformers.GraniteConfig(**SIZES, logits_scaling=1.0),
    "gemma2, no soft cap": lambda: transformers.Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=None),
    "opt, whose base is called in parts": lambda: transformers.OPTConfig(**OPT, **NO_IDS, word_embed_proj_dim=16),
}


def network(config):
    torch.manual_seed(0)
    made = transformers.AutoModelForCausalLM.from_config(config).float()
    for name, parameter in made.named_parameters():
        if "head" in name and name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    return made.eval()


@pytest.mark.parametrize("kind", [*CONFIGS, *PLAIN])
class TestEveryHead:
    def test_it_was_refused_at_the_first_validation(self, kind) -> None:
        theirs = network((CONFIGS | PLAIN)[kind]())
        ours = TransformersCausal(theirs)
        assert ours._head_is_plain == (kind in PLAIN)
        logits = theirs(input_ids=IDS, use_cache=False).logits
        torch.testing.assert_close(ours(IDS)[0], logits, atol=1e-5, rtol=0)
        expected = F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), ignore_index=-100)
        loss = ours(IDS, TARGETS)[1]
        torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours(IDS, TARGETS, reduction="rows")[1].sum(), 16 * expected, atol=1e-4, rtol=0)
        parameters = list(theirs.parameters())
        right = torch.autograd.grad(expected, parameters, allow_unused=True)
        given = torch.autograd.grad(loss, parameters, allow_unused=True)
        for (name, _), one, other in zip(theirs.named_parameters(), given, right, strict=True):
            torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)

    def test_greedy_sampling_is_theirs(self, kind) -> None:
        theirs = network((CONFIGS | PLAIN)[kind]())
        ours = TransformersCausal(theirs)
        options = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        expected = theirs.generate(IDS, attention_mask=torch.ones_like(IDS), **options)
        assert torch.equal(generate(ours, IDS, max_new_tokens=10, temperature=0), expected)
        assert not any(module.training for module in ours.modules())  # it evaluated before


def test_a_network_that_returns_no_cache_reads_everything_again() -> None:
    theirs = network(CONFIGS["granite, a scale"]())
    ours = TransformersCausal(theirs)
    expected = generate(ours, IDS, max_new_tokens=60, temperature=0)  # beyond its 64 positions
    theirs.base_model.register_forward_hook(
        lambda module, inputs, output: type(output)(last_hidden_state=output.last_hidden_state)
    )
    assert torch.equal(generate(ours, IDS, max_new_tokens=60, temperature=0), expected)


def test_a_soft_cap_went_unnoticed_where_logits_are_small() -> None:
    config = transformers.Gemma2Config(**SIZES, head_dim=8, final_logit_softcapping=30.0)
    theirs = network(config)
    ours = TransformersCausal(theirs)
    with torch.no_grad():
        assert theirs(input_ids=IDS).logits.abs().max() < 1  # no probe of these sees a cap at 30
        theirs.get_input_embeddings().weight.mul_(3_000)
        logits = theirs(input_ids=IDS).logits
        assert logits.abs().max() > 29
        torch.testing.assert_close(ours(IDS)[0], logits)
        expected = F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), ignore_index=-100)
        torch.testing.assert_close(ours(IDS, TARGETS)[1], expected)


def test_slabs_of_logits_add_up(monkeypatch) -> None:
    from bytemill.model import transformers_causal

    whole = TransformersCausal(network(CONFIGS["phi, a bias"]()))
    loss = whole(IDS, TARGETS)[1]
    gradient = torch.autograd.grad(loss, whole.get_output_embeddings().weight)[0]
    monkeypatch.setattr(transformers_causal, "_SLAB_BYTES", 4 * VOCAB * 5)
    again = whole(IDS, TARGETS)[1]
    torch.testing.assert_close(again, loss)
    torch.testing.assert_close(torch.autograd.grad(again, whole.get_output_embeddings().weight)[0], gradient)


def test_an_adapter_on_a_head_with_a_bias_has_its_part() -> None:
    ours = apply_lora(TransformersCausal(network(CONFIGS["phi, a bias"]())), LoraConfig(r=2, target_modules="lm_head"))
    before = ours(IDS, TARGETS)[1].item()
    with torch.no_grad():
        for parameter in lora_parameters(ours):
            parameter.add_(torch.randn_like(parameter))
    logits = ours.network(input_ids=IDS).logits
    expected = F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), ignore_index=-100)
    torch.testing.assert_close(ours(IDS, TARGETS)[1], expected)
    assert expected.item() != before


def test_logits_that_are_not_made_of_hidden_states_are_refused_at_loading(monkeypatch) -> None:
    theirs = network(transformers.LlamaConfig(**SIZES))
    forward = type(theirs).forward

    def twisted(self, input_ids=None, **options):
        output = forward(self, input_ids=input_ids, **options)
        output.logits = output.logits + input_ids.unsqueeze(-1)
        return output

    monkeypatch.setattr(type(theirs), "forward", twisted)
    with pytest.raises(ConfigError, match="LlamaForCausalLM: its logits are not computed from"):
        TransformersCausal(theirs)


class TestTensors:
    @pytest.fixture(params=[False, True], ids=["untied", "tied"])
    def folder(self, request, tmp_path):
        network(transformers.LlamaConfig(**SIZES, tie_word_embeddings=request.param)).save_pretrained(tmp_path)
        return tmp_path

    def change(self, folder, change):
        file = folder / "model.safetensors"
        save_file(change(load_file(file)), file, metadata={"format": "pt"})

    def test_a_missing_one_was_filled_with_random_numbers(self, folder, capsys) -> None:
        name = "model.layers.1.mlp.up_proj.weight"
        self.change(folder, lambda tensors: {n: t for n, t in tensors.items() if n != name})
        with pytest.raises(FormatError, match=rf"the weights lack {name}, which LlamaForCausalLM needs"):
            load_pretrained(folder)
        assert "LOAD REPORT" not in capsys.readouterr().err

    def test_an_empty_file_was_a_model(self, folder) -> None:
        self.change(folder, lambda _: {})
        with pytest.raises(FormatError, match=r"lack lm_head\.weight, .* and \d+ more tensors"):
            load_pretrained(folder)

    def test_an_unexpected_one_was_left_out(self, folder) -> None:
        self.change(folder, lambda tensors: tensors | {"model.extra.weight": torch.ones(2)})
        with pytest.raises(FormatError, match=r"hold model\.extra\.weight, which LlamaForCausalLM does not"):
            load_pretrained(folder)

    def test_one_of_another_shape_is_named(self, folder) -> None:
        self.change(folder, lambda tensors: tensors | {"model.norm.weight": torch.ones(3)})
        shape = r"shape \(3,\), expected \(32,\)" if transformers.__version__ >= "5" else "another shape"
        with pytest.raises(FormatError, match=rf"model\.norm\.weight has {shape}"):
            load_pretrained(folder)

    def test_a_tied_head_is_not_missing_and_may_be_written_out(self, folder) -> None:
        expected = load_pretrained(folder)(IDS)[0]
        self.change(folder, lambda tensors: {"lm_head.weight": tensors["model.embed_tokens.weight"].clone(), **tensors})
        torch.testing.assert_close(load_pretrained(folder)(IDS)[0], expected)


def test_a_head_that_differs_from_a_tied_embedding_survives_a_checkpoint(tmp_path) -> None:
    network(transformers.LlamaConfig(**SIZES, tie_word_embeddings=True)).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].flip(0).clone()
    save_file(tensors, file, metadata={"format": "pt"})
    loaded = load_pretrained(tmp_path)
    again = TransformersCausal.from_settings(loaded.settings())
    again.load_state_dict(loaded.state_dict())
    torch.testing.assert_close(again(IDS)[0], loaded(IDS)[0])
    loaded.save_huggingface(tmp_path / "again")
    torch.testing.assert_close(load_pretrained(tmp_path / "again")(IDS)[0], loaded(IDS)[0])


def test_another_architecture_is_imported_from_a_pickle(tmp_path) -> None:
    theirs = network(PLAIN["opt, whose base is called in parts"]())
    theirs.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    tensors = {name: tensor.clone() for name, tensor in theirs.state_dict().items()}
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    with pytest.raises(FormatError, match=r"has no model\.safetensors; .* --allow-pickle"):
        load_pretrained(tmp_path)
    read = import_weights(tmp_path, allow_pickle=True)
    torch.testing.assert_close(read(IDS)[0], theirs(input_ids=IDS).logits)
    torch.save(tensors | {"more.weight": torch.ones(1)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(FormatError, match=r"the weights hold more\.weight"):
        import_weights(tmp_path, allow_pickle=True)
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["model_type"] == "opt"
