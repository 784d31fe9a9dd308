"""Our GPT-2 and transformers' GPT2LMHeadModel: equal logits from equal weights, both ways."""

import json

import pytest
import torch

from bytemill.errors import ConfigError, FormatError
from bytemill.model import GPT2, GPT2Config, TransformersCausal, load_pretrained

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

SIZES = {"vocab_size": 100, "n_positions": 32, "n_embd": 48, "n_layer": 3, "n_head": 4}
IDS = torch.randint(0, 100, (2, 32), generator=torch.Generator().manual_seed(0))


def spread(model: torch.nn.Module) -> None:
    """Random biases and norms too, so that none can be lost unseen."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def their_model(**settings: object) -> torch.nn.Module:
    config = transformers.GPT2Config(**SIZES, bos_token_id=None, eos_token_id=None, **settings)
    model = transformers.GPT2LMHeadModel(config).eval()
    spread(model)
    return model


def our_model(**fields: object) -> GPT2:
    model = GPT2(GPT2Config(**SIZES, **fields)).eval()
    spread(model)
    return model


@torch.no_grad()
def assert_equal_logits(ours: GPT2, theirs: torch.nn.Module) -> None:
    one, other = ours.eval()(IDS)[0], theirs.eval()(IDS).logits
    assert other.std() > 0.1
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"n_inner": 80},
        {"layer_norm_epsilon": 1e-3},
        {"activation_function": "gelu"},
        {"activation_function": "gelu_pytorch_tanh"},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_their_weights_in_ours(tmp_path, settings: dict[str, object]) -> None:
    theirs = their_model(**settings)
    theirs.save_pretrained(tmp_path)
    ours = GPT2.from_huggingface(tmp_path)
    assert_equal_logits(ours, theirs)
    assert ours.token_embedding.weight.shape == (128, 48)
    assert not ours.token_embedding.weight[100:].any()
    assert all(parameter.requires_grad for parameter in ours.parameters())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"n_inner": 80},
        {"qkv_bias": False},
        {"pad_vocab_to": 1},
        {"activation_function": "gelu"},
        {"tie_word_embeddings": False},
    ],
    ids=str,
)
def test_our_weights_in_theirs_and_back(tmp_path, fields: dict[str, object]) -> None:
    ours = our_model(**fields)
    ours.save_huggingface(tmp_path)
    theirs, report = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert_equal_logits(ours, theirs)
    assert_equal_logits(GPT2.from_huggingface(tmp_path), theirs)


def test_equal_losses_and_gradients(tmp_path) -> None:
    theirs = their_model()
    theirs.save_pretrained(tmp_path)
    ours = GPT2.from_huggingface(tmp_path).eval()
    loss = ours(IDS[:, :-1], IDS[:, 1:])[1]
    their_loss = theirs(IDS, labels=IDS).loss
    torch.testing.assert_close(loss, their_loss)
    loss.backward()
    their_loss.backward()
    torch.testing.assert_close(
        ours.token_embedding.weight.grad[:100], theirs.transformer.wte.weight.grad, atol=1e-5, rtol=1e-4
    )
    torch.testing.assert_close(
        ours.blocks[1].attention.qkv.weight.grad,
        theirs.transformer.h[1].attn.c_attn.weight.grad.T,
        atol=1e-5,
        rtol=1e-4,
    )


def test_exact_gelu_and_an_untied_head_learn_as_in_transformers(tmp_path) -> None:
    theirs = their_model(activation_function="gelu", tie_word_embeddings=False)
    theirs.save_pretrained(tmp_path)
    ours = GPT2.from_huggingface(tmp_path).eval()
    assert (ours.config.activation_function, ours.config.tie_word_embeddings) == ("gelu", False)
    loss, their_loss = ours(IDS[:, :-1], IDS[:, 1:])[1], theirs(IDS, labels=IDS).loss
    torch.testing.assert_close(loss, their_loss)
    torch.testing.assert_close(ours(IDS[:, :-1], IDS[:, 1:], reduction="rows")[1].sum(), 62 * their_loss)
    loss.backward()
    their_loss.backward()
    pairs = (ours.token_embedding, theirs.transformer.wte), (ours.head, theirs.lm_head)
    for one, other in pairs:
        torch.testing.assert_close(one.weight.grad[:100], other.weight.grad, atol=1e-5, rtol=1e-4)
        assert not one.weight.grad[100:].any()
    assert ours.n_parameters() == sum(p.numel() for p in theirs.parameters())
    assert ours.config.n_parameters() == sum(p.numel() for p in ours.parameters())


def test_a_head_that_differs_was_refused_though_transformers_reads_it(tmp_path) -> None:
    """As transformers does: weights that differ are two tables, whatever config.json says."""
    from safetensors.torch import load_file, save_file

    pytest.importorskip("transformers", minversion="5", reason="transformers 4 reads only the embedding")
    their_model().save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"].flip(0).clone()
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert json.loads((tmp_path / "config.json").read_text()).get("tie_word_embeddings", True)
    ours = GPT2.from_huggingface(tmp_path)
    assert_equal_logits(ours, transformers.GPT2LMHeadModel.from_pretrained(tmp_path))
    ours.save_huggingface(tmp_path / "again")
    assert_equal_logits(ours, transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "again"))


def test_a_gpt2_with_another_activation_is_transformers_own(tmp_path) -> None:
    theirs = their_model(activation_function="relu", scale_attn_by_inverse_layer_idx=True)
    theirs.save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="activation_function is 'relu'"):
        GPT2.from_huggingface(tmp_path)
    ours = load_pretrained(tmp_path)
    assert isinstance(ours, TransformersCausal)
    assert_equal_logits(ours, theirs)


def test_shards_are_read(tmp_path) -> None:
    theirs = their_model()
    theirs.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert_equal_logits(GPT2.from_huggingface(tmp_path), theirs)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001", "../model-00001"))
    with pytest.raises(FormatError, match="plain name"):
        GPT2.from_huggingface(tmp_path)


def test_the_bare_form_of_openais_files_is_read(tmp_path) -> None:
    """Names without "transformer.", the causal masks among the weights, and the head written out."""
    from safetensors.torch import save_file

    theirs = their_model()
    theirs.save_pretrained(tmp_path)
    tensors = {n.removeprefix("transformer."): t.clone() for n, t in theirs.state_dict().items()}
    masks = {f"h.{block}.attn.bias": torch.ones(1, 1, 32, 32).tril() for block in range(3)}
    save_file(tensors | masks, tmp_path / "model.safetensors")
    assert "lm_head.weight" in tensors
    assert_equal_logits(GPT2.from_huggingface(tmp_path), theirs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("activation_function", "relu"),
        ("scale_attn_by_inverse_layer_idx", True),
        ("model_type", "llama"),
        ("n_layer", 0),
    ],
)
def test_what_we_cannot_compute_is_refused(tmp_path, name: str, value: object) -> None:
    our_model().save_huggingface(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {name: value}))
    with pytest.raises(ConfigError, match=rf"{name}.*{value}"):
        GPT2.from_huggingface(tmp_path)


def test_files_that_do_not_fit_are_named(tmp_path) -> None:
    our_model().save_huggingface(tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    settings, whole = json.loads(config.read_text()), weights.read_bytes()
    for change, message in (
        ({"n_layer": 4}, r"lack transformer\.h\.3\.ln_1"),
        ({"n_layer": 2}, r"does not have: transformer\.h\.2"),
        ({"n_positions": 64}, r"transformer\.wpe\.weight has shape \(32, 48\), expected \(64, 48\) by config\.json"),
    ):
        config.write_text(json.dumps(settings | change))
        with pytest.raises(FormatError, match=message):
            GPT2.from_huggingface(tmp_path)
    config.write_text(json.dumps(settings))
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FormatError, match=r"model\.safetensors: .*cut short"):
        GPT2.from_huggingface(tmp_path)


def test_a_missing_folder_is_named(tmp_path) -> None:
    with pytest.raises(FormatError, match="nowhere: not an existing folder"):
        GPT2.from_huggingface(tmp_path / "nowhere")


def test_overrides_and_end_of_text(tmp_path) -> None:
    our_model(resid_pdrop=0.1).save_huggingface(tmp_path, end_of_text_id=99)
    assert GPT2.from_huggingface(tmp_path).config.resid_pdrop == 0.1
    changed = GPT2.from_huggingface(tmp_path, resid_pdrop=0.0, pad_vocab_to=1)
    assert changed.config.resid_pdrop == 0.0
    assert changed.token_embedding.num_embeddings == 100
    assert transformers.GPT2Config.from_pretrained(tmp_path).eos_token_id == 99


def test_greedy_continuation_is_equal() -> None:
    import tempfile

    from bytemill.model import generate

    ours = our_model()
    with tempfile.TemporaryDirectory() as folder:
        ours.save_huggingface(folder)
        theirs = transformers.GPT2LMHeadModel.from_pretrained(folder)
    theirs.generation_config.pad_token_id = 0
    longer = theirs.generate(
        IDS[:, :4], attention_mask=torch.ones(2, 4, dtype=torch.int64), max_new_tokens=28, do_sample=False
    )
    assert torch.equal(generate(ours, IDS[:, :4], max_new_tokens=28, temperature=0), longer)
