"""A GPT-2 that somebody trained, from the package microformer-mgm: its numbers are not those of random weights."""

from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from bytemill.model import GPT2, generate
from bytemill.model.foreign import import_weights
from bytemill.model.lora import LoraConfig, apply_lora, lora_parameters, merge_lora, save_adapter

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")

PACKAGE = "microformer-mgm"


@pytest.fixture(scope="module")
def folder() -> Path:
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        pytest.skip(f"pip install --no-deps {PACKAGE}")
    (weights,) = [Path(str(file.locate())) for file in files if file.name == "pytorch_model.bin"]
    return weights.parent


@pytest.fixture
def ours(folder: Path) -> GPT2:
    return import_weights(folder, allow_pickle=True).eval()


@pytest.fixture
def theirs(folder: Path) -> Any:
    return transformers.GPT2LMHeadModel.from_pretrained(folder).eval()


@pytest.fixture
def ids(ours: GPT2) -> torch.Tensor:
    return torch.randint(ours.config.vocab_size, (2, 64), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_logits_are_equal(ours: GPT2, theirs: Any, ids: torch.Tensor) -> None:
    expected = theirs(ids).logits
    assert expected.abs().max() > 5, "the weights are trained"
    torch.testing.assert_close(ours(ids)[0], expected, atol=1e-4, rtol=0)


@torch.no_grad()
def test_greedy_continuations_are_equal(ours: GPT2, theirs: Any, ids: torch.Tensor) -> None:
    prompt = ids[:, :8]
    options = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None, "attention_mask": torch.ones_like(prompt)}
    expected = theirs.generate(prompt, max_new_tokens=100, **options)
    assert torch.equal(generate(ours, prompt, max_new_tokens=100, temperature=0), expected)


@torch.no_grad()
def test_an_adapter_means_the_same_to_peft(ours: GPT2, theirs: Any, ids: torch.Tensor, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="extra `hf` is not installed")
    torch.manual_seed(0)
    apply_lora(ours, LoraConfig(r=8, target_modules=["c_attn", "c_proj", "c_fc"]))
    for parameter in lora_parameters(ours):
        parameter.add_(0.02 * torch.randn_like(parameter))
    save_adapter(ours, tmp_path / "adapter")
    adapted = ours(ids)[0]
    torch.testing.assert_close(
        peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()(ids).logits, adapted, atol=1e-4, rtol=0
    )
    merge_lora(ours)
    torch.testing.assert_close(ours(ids)[0], adapted, atol=1e-4, rtol=0)
