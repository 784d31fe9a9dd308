"""Weights that other programs pickled: refused unless allowed, then read to the same numbers."""

import pickle

import pytest
import torch

from bytemill.errors import ConfigError, FormatError
from bytemill.model import GPT2, GPT2Config
from bytemill.model.foreign import import_weights
from bytemill.model.huggingface import _their_views

TRANSPOSED = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
IDS = torch.tensor([[1, 2, 3, 4]])


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = GPT2(GPT2Config(vocab_size=64, n_positions=16, n_embd=128, n_layer=2, n_head=2, pad_vocab_to=1))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def theirs(model):
    return {name: tensor.clone().contiguous() for name, tensor in _their_views(model)}


def nanogpt(model):
    tensors = {n: t.T.contiguous() if n.endswith(TRANSPOSED) else t for n, t in theirs(model).items()}
    tensors["lm_head.weight"] = tensors["transformer.wte.weight"]
    return {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}


def assert_equal_logits(one, other):
    torch.testing.assert_close(one(IDS)[0], other(IDS)[0], rtol=0, atol=0)


def test_a_pickle_is_read_only_when_it_may_be(model, tmp_path):
    torch.save(theirs(model), tmp_path / "gpt2.pth")
    with pytest.raises(ConfigError, match="can run code when it is read; allow it"):
        import_weights(tmp_path / "gpt2.pth")
    assert_equal_logits(import_weights(tmp_path / "gpt2.pth", allow_pickle=True), model)


def test_a_checkpoint_of_nanogpt_tells_its_heads_and_is_turned(model, tmp_path):
    arguments = {"n_layer": 2, "n_head": 4, "n_embd": 128, "block_size": 16, "bias": True, "vocab_size": 64}
    saved = {"model": nanogpt(model), "model_args": arguments, "iter_num": 7, "config": {"device": "cpu"}}
    torch.save(saved, tmp_path / "ckpt.pt")
    read = import_weights(tmp_path / "ckpt.pt", allow_pickle=True)
    assert read.config.n_head == 4
    assert_equal_logits(import_weights(tmp_path / "ckpt.pt", allow_pickle=True, n_head=2), model)


def test_biases_that_nanogpt_leaves_out_are_zeros(model, tmp_path):
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    without = {name: tensor for name, tensor in nanogpt(model).items() if not name.endswith(".bias")}
    torch.save({"model": without, "model_args": {"n_head": 2}}, tmp_path / "ckpt.pt")
    assert_equal_logits(import_weights(tmp_path / "ckpt.pt", allow_pickle=True), model)


def test_a_folder_with_a_pickle_alone(model, tmp_path):
    model.save_huggingface(tmp_path)
    assert_equal_logits(import_weights(tmp_path), model)
    assert_equal_logits(import_weights(tmp_path / "model.safetensors"), model)
    (tmp_path / "model.safetensors").unlink()
    torch.save(theirs(model), tmp_path / "pytorch_model.bin")
    assert_equal_logits(import_weights(tmp_path, allow_pickle=True), model)


class Bomb:
    def __reduce__(self):
        return print, ("boom",)


def test_more_than_tensors_is_not_even_looked_at(tmp_path, capsys):
    (tmp_path / "bad.pt").write_bytes(pickle.dumps({"wte.weight": Bomb()}, protocol=2))
    with pytest.raises(FormatError, match="damaged, or holds more than tensors"):
        import_weights(tmp_path / "bad.pt", allow_pickle=True)
    assert "boom" not in capsys.readouterr().out
    torch.save({"something": torch.ones(2)}, tmp_path / "other.pt")
    with pytest.raises(FormatError, match="holds no GPT-2"):
        import_weights(tmp_path / "other.pt", allow_pickle=True)
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(FormatError, match="expected a state dict"):
        import_weights(tmp_path / "list.pt", allow_pickle=True)
