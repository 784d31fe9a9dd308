"""Weights that other programs wrote: pickles only if allowed, then read to the numbers that those programs compute."""

import json
import pickle
import re
import sys
import types
from dataclasses import make_dataclass

import pytest
import torch
from safetensors.torch import save_file

from bytemill.errors import ConfigError, FormatError
from bytemill.model import GPT2, GPT2Config, load_pretrained, save_model
from bytemill.model.foreign import import_weights
from bytemill.model.huggingface import _their_views

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
QUERY_KEY_VALUE = ("W_query", "W_key", "W_value")
IDS = torch.tensor([[1, 2, 3, 4]])
HEADS = 4


def spread_model(**fields):
    torch.manual_seed(0)
    shape = {"vocab_size": 64, "n_positions": 16, "n_embd": 64, "n_layer": 2, "n_head": HEADS, "pad_vocab_to": 1}
    model = GPT2(GPT2Config(**shape | fields))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture
def model():
    return spread_model()


@pytest.fixture
def exact():
    """As nanoGPT computes: with the exact GELU."""
    return spread_model(activation_function="gelu")


def theirs(model):
    return {name: tensor.clone().contiguous() for name, tensor in _their_views(model)}


def linear(model):
    """The state dict of nanoGPT and build-nanogpt: linear layers, and the head under a second name."""
    tensors = {n: t.T.contiguous() if n.endswith(TRANSPOSED) else t for n, t in theirs(model).items()}
    return {"lm_head.weight": tensors["transformer.wte.weight"], **tensors}


FROM_SCRATCH = {
    r"^transformer\.h\.(\d+)\.": r"trf_blocks.\1.",
    r"^transformer\.wte": "tok_emb",
    r"^transformer\.wpe": "pos_emb",
    r"^transformer\.ln_f\.weight": "final_norm.scale",
    r"^transformer\.ln_f\.bias": "final_norm.shift",
    r"^lm_head": "out_head",
    r"ln_(\d)\.weight": r"norm\1.scale",
    r"ln_(\d)\.bias": r"norm\1.shift",
    r"attn\.c_attn": "att.{}",
    r"attn\.c_proj": "att.out_proj",
    r"mlp\.c_fc": "ff.layers.0",
    r"mlp\.c_proj": "ff.layers.2",
}


def from_scratch(model):
    """The state dict of the GPTModel of "Build a Large Language Model (From Scratch)"."""
    renamed = {}
    for name, tensor in linear(model).items():
        for old, new in FROM_SCRATCH.items():
            name = re.sub(old, new, name)
        pieces = tensor.chunk(3) if "{}" in name else [tensor]
        renamed |= {name.format(part): piece.clone() for part, piece in zip(QUERY_KEY_VALUE, pieces, strict=False)}
    masks = {f"trf_blocks.{block}.att.mask": torch.ones(16, 16).triu(1) for block in range(model.config.n_layer)}
    return renamed | masks


def assert_equal_logits(one, other):
    torch.testing.assert_close(one(IDS)[0], other(IDS)[0], rtol=0, atol=1e-5)


def read(path, **options):
    return import_weights(path, allow_pickle=True, **options)


def test_a_pickle_is_read_only_when_it_may_be(model, tmp_path):
    torch.save(theirs(model), tmp_path / "gpt2.pth")
    with pytest.raises(ConfigError, match="can run code when it is read; allow it"):
        import_weights(tmp_path / "gpt2.pth")
    assert_equal_logits(read(tmp_path / "gpt2.pth", n_head=HEADS), model)


def test_nanogpts_exact_gelu_was_taken_for_the_tanh_form(model, exact, tmp_path):
    assert (exact(IDS)[0] - model(IDS)[0]).abs().max() > 1e-4
    arguments = {"n_layer": 2, "n_head": HEADS, "n_embd": 64, "block_size": 16, "bias": True, "vocab_size": 64}
    tensors = {f"_orig_mod.{name}": tensor for name, tensor in linear(exact).items()}
    saved = {"model": tensors, "model_args": arguments, "iter_num": 7, "config": {"device": "cpu", "n_head": 1}}
    torch.save(saved, tmp_path / "ckpt.pt")
    found = read(tmp_path / "ckpt.pt")
    assert (found.config.activation_function, found.config.n_head) == ("gelu", HEADS)
    assert_equal_logits(found, exact)
    save_model(found, tmp_path / "own")
    assert_equal_logits(load_pretrained(tmp_path / "own"), exact)
    assert_equal_logits(read(tmp_path / "ckpt.pt", activation="gelu_new"), model)
    assert read(tmp_path / "ckpt.pt", n_head=2).config.n_head == 2


def test_biases_that_nanogpt_leaves_out_are_zeros(exact, tmp_path):
    with torch.no_grad():
        for name, parameter in exact.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    without = {name: tensor for name, tensor in linear(exact).items() if not name.endswith(".bias")}
    torch.save({"model": without, "model_args": {"n_head": HEADS}}, tmp_path / "ckpt.pt")
    found = read(tmp_path / "ckpt.pt")
    assert found.config.qkv_bias is False
    assert_equal_logits(found, exact)


def test_build_nanogpts_settings_made_its_checkpoints_unreadable(model, tmp_path, monkeypatch):
    """Its config is an object of a class that only its script has."""
    kind = make_dataclass("GPTConfig", [("block_size", int), ("n_head", int)])
    kind.__module__ = "train_gpt2"
    with monkeypatch.context() as during:
        during.setitem(sys.modules, "train_gpt2", types.SimpleNamespace(GPTConfig=kind))
        saved = {"model": linear(model), "config": kind(block_size=16, n_head=HEADS), "step": 9, "val_loss": 3.1}
        torch.save(saved, tmp_path / "model_00009.pt")
    found = read(tmp_path / "model_00009.pt")
    assert (found.config.activation_function, found.config.n_head) == ("gelu_new", HEADS)
    assert_equal_logits(found, model)


@pytest.mark.parametrize("fields", [{}, {"tie_word_embeddings": False}, {"qkv_bias": False}], ids=str)
@pytest.mark.parametrize("is_checkpoint", [True, False])
def test_state_dicts_of_llms_from_scratch_were_no_gpt2(fields, is_checkpoint, tmp_path):
    model = spread_model(**fields)
    tensors = from_scratch(model)
    saved = {"model_state_dict": tensors, "optimizer_state_dict": {"state": {}}} if is_checkpoint else tensors
    torch.save(saved, tmp_path / "model.pth")
    found = read(tmp_path / "model.pth", n_head=HEADS)
    assert found.config == model.config.model_copy(update={"n_inner": 256, "pad_vocab_to": 64})
    assert_equal_logits(found, model)


def test_a_classifier_of_llms_from_scratch_is_no_language_model(model, tmp_path):
    tensors = from_scratch(model) | {"out_head.weight": torch.zeros(2, 64), "out_head.bias": torch.zeros(2)}
    torch.save(tensors, tmp_path / "review_classifier.pth")
    with pytest.raises(FormatError, match="gives 2 scores for 64 ids"):
        read(tmp_path / "review_classifier.pth", n_head=HEADS)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "model."])
def test_prefixes_of_wrapped_models_were_unknown_weights(prefix, model, tmp_path):
    torch.save({f"{prefix}{name}": tensor for name, tensor in linear(model).items()}, tmp_path / "model.pt")
    assert_equal_logits(read(tmp_path / "model.pt", n_head=HEADS, activation="gelu_new"), model)


class TestHeads:
    def test_they_were_guessed_though_config_json_lay_next_to_the_file(self, tmp_path):
        model = spread_model(layer_norm_epsilon=1e-2, activation_function="gelu")
        model.save_huggingface(tmp_path)
        torch.save(theirs(model), tmp_path / "pytorch_model.bin")
        torch.save(linear(model), tmp_path / "turned.pt")
        for name in ("model.safetensors", "pytorch_model.bin"):
            found = read(tmp_path / name)
            assert found.config.n_head == HEADS
            assert_equal_logits(found, model)
        assert read(tmp_path / "turned.pt").config.n_head == HEADS

    def test_a_config_json_of_another_model_is_passed_over(self, model, tmp_path):
        model.save_huggingface(tmp_path)
        other = spread_model(n_embd=32)
        torch.save(theirs(other), tmp_path / "other.pth")
        with pytest.raises(ConfigError, match=r"other\.pth: .*--heads"):
            read(tmp_path / "other.pth")

    def test_they_were_guessed_where_nothing_says_them(self, model, tmp_path):
        save_file(theirs(model), tmp_path / "model.safetensors")
        with pytest.raises(ConfigError, match=r"does not say how many attention heads.*--heads"):
            import_weights(tmp_path / "model.safetensors")
        assert_equal_logits(import_weights(tmp_path / "model.safetensors", n_head=HEADS), model)

    def test_at_openais_widths_the_guess_is_reported(self, tmp_path):
        model = spread_model(n_embd=768, n_head=12, n_layer=1)
        save_file(theirs(model), tmp_path / "model.safetensors")
        said = []
        assert_equal_logits(import_weights(tmp_path / "model.safetensors", say=said.append), model)
        (sentence,) = said
        assert "12 assumed" in sentence


def test_a_bare_state_dict_of_nanogpt_reports_its_gelu(exact, tmp_path):
    torch.save(linear(exact), tmp_path / "model.pt")
    said = []
    assert_equal_logits(read(tmp_path / "model.pt", n_head=HEADS, say=said.append), exact)
    (sentence,) = said
    assert "--activation gelu_new" in sentence


def test_a_folder_with_pickles_alone_in_one_piece_or_in_shards(model, tmp_path):
    model.save_huggingface(tmp_path)
    assert_equal_logits(import_weights(tmp_path), model)
    (tmp_path / "model.safetensors").unlink()
    tensors = theirs(model)
    torch.save(tensors, tmp_path / "pytorch_model.bin")
    assert_equal_logits(read(tmp_path), model)
    (tmp_path / "pytorch_model.bin").unlink()
    files = {name: f"pytorch_model-0000{1 + number % 2}-of-00002.bin" for number, name in enumerate(tensors)}
    for file in set(files.values()):
        torch.save({name: tensor for name, tensor in tensors.items() if files[name] == file}, tmp_path / file)
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": files}))
    with pytest.raises(ConfigError, match="is a pickle"):
        import_weights(tmp_path)
    assert_equal_logits(read(tmp_path), model)


def test_our_own_form_is_read_as_a_folder_and_as_its_file(exact, tmp_path):
    save_model(exact, tmp_path)
    assert_equal_logits(import_weights(tmp_path), exact)
    assert_equal_logits(import_weights(tmp_path / "model.safetensors"), exact)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def test_more_than_tensors_is_not_even_looked_at(tmp_path, capsys):
    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"wte.weight": Bomb()}, protocol=2))
    with pytest.raises(FormatError, match="damaged, or holds more than tensors"):
        read(tmp_path / "bad.pt")
    torch.save({"wte.weight": Bomb()}, tmp_path / "bomb.pt")
    with pytest.raises(FormatError, match=r"wte\.weight is an object of another program"):
        read(tmp_path / "bomb.pt")
    torch.save({"wte.weight": torch.ones(2)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match="contains no GPT-2"):
        read(tmp_path / "old.pt")
    torch.save({"wte.weight": Bomb()}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    with pytest.raises(FormatError, match=r"it holds print"):
        read(tmp_path / "old.pt")
    assert "boom" not in capsys.readouterr().out
    torch.save({"something": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(FormatError, match="contains no GPT-2"):
        read(tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FormatError, match="expected a state dict"):
        read(tmp_path / "list.pt")


def test_weights_that_are_nan_were_imported(model, tmp_path):
    with torch.no_grad():
        model.blocks[1].mlp.expand.weight[0, 0] = torch.nan
    model.save_huggingface(tmp_path)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(FormatError, match=r"blocks\.1\.mlp\.expand\.weight holds NaN or infinite"):
            import_weights(source)


def test_tensors_that_are_missing_or_too_many_are_named(model, tmp_path):
    tensors = linear(model)
    torch.save({name: t for name, t in tensors.items() if "h.1.mlp.c_proj.weight" not in name}, tmp_path / "less.pt")
    torch.save(tensors | {"transformer.h.0.attn.lora_A": torch.ones(2)}, tmp_path / "more.pt")
    with pytest.raises(FormatError, match=r"lack transformer\.h\.1\.mlp\.c_proj\.weight"):
        read(tmp_path / "less.pt", n_head=HEADS)
    with pytest.raises(FormatError, match=r"does not have: h\.0\.attn\.lora_A"):
        read(tmp_path / "more.pt", n_head=HEADS)


def test_shapes_that_no_model_has_are_one_sentence(model, tmp_path):
    empty = linear(model) | {"transformer.wte.weight": torch.zeros(5, 0)}
    flat = linear(model) | {"transformer.h.0.attn.c_attn.weight": torch.tensor(1.0)}
    torn = from_scratch(model) | {"trf_blocks.0.att.W_key.weight": torch.zeros(3, 5)}
    for number, tensors in enumerate((empty, flat, torn)):
        torch.save(tensors, tmp_path / f"{number}.pt")
        with pytest.raises(FormatError, match=r"contains no GPT-2|shapes that do not fit"):
            read(tmp_path / f"{number}.pt", n_head=HEADS)


def test_a_folder_with_a_pickle_alone_says_how_to_read_it(model, tmp_path):
    model.save_huggingface(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(theirs(model), tmp_path / "pytorch_model.bin")
    with pytest.raises(FormatError, match=rf"bytemill model import {tmp_path} FOLDER --allow-pickle"):
        load_pretrained(tmp_path)


@pytest.mark.parametrize(("width", "name"), [(768, "gpt2"), (1_024, "gpt2-medium"), (1_600, "gpt2-xl"), (5, "gpt2")])
def test_openais_tensorflow_files_name_the_hubs_copy(width, name, tmp_path):
    for file in ("checkpoint", "model.ckpt.index", "model.ckpt.meta", "model.ckpt.data-00000-of-00001"):
        (tmp_path / file).touch()
    (tmp_path / "hparams.json").write_text(json.dumps({"n_embd": width}))
    for source in (tmp_path, tmp_path / "model.ckpt.index", tmp_path / "model.ckpt"):
        for load in (read, load_pretrained):
            with pytest.raises(FormatError, match=rf"TensorFlow.*openai-community/{name}$"):
                load(source)
