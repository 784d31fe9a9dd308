"""Other architectures behind our face: equal to transformers itself, tuned, saved, sampled."""

import json

import pytest
import torch
import torch.nn.functional as F

from bytemill import Tokenizer
from bytemill.errors import ConfigError, DataError, FormatError
from bytemill.inference import TextGenerator
from bytemill.model import GPT2, TransformersCausal, generate, load_pretrained
from bytemill.model.lora import LoraConfig, adapter_disabled, apply_lora, load_adapter, lora_parameters, save_adapter
from bytemill.tasks.base_model import load_base_model
from bytemill.tasks.tuning import tuning_task_from_config
from bytemill.train.config import load_config
from bytemill.train.loop import fit
from bytemill.train.run.metrics import read_json_lines

transformers = pytest.importorskip("transformers", reason="extra `hf` is not installed")
peft = pytest.importorskip("peft", reason="extra `hf` is not installed")

TEXT = "the cat sat on the mat. the dog ate the cat's hat. " * 40
VOCAB = 320
IDS = torch.randint(0, VOCAB, (2, 12), generator=torch.Generator().manual_seed(0))
TARGETS = torch.where(torch.arange(12) % 3 == 0, -100, IDS.roll(-1, dims=1))
WIDE = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}

CONFIGS = {
    "bloom": lambda: transformers.BloomConfig(vocab_size=VOCAB, hidden_size=32, n_layer=2, n_head=4),
    "llama": lambda: transformers.LlamaConfig(
        vocab_size=VOCAB, **WIDE, num_key_value_heads=2, max_position_embeddings=64
    ),
    "qwen2": lambda: transformers.Qwen2Config(
        vocab_size=VOCAB, **WIDE, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True
    ),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=VOCAB, n_positions=64, n_embd=32, n_layer=2, n_head=4, attn_pdrop=0, embd_pdrop=0, resid_pdrop=0
    ),
}
OTHERS = ["bloom", "llama", "qwen2"]
NOT_PLAIN = {  # their heads are more than a linear layer
    "phi": lambda: transformers.PhiConfig(
        vocab_size=VOCAB, **WIDE, max_position_embeddings=64, attention_dropout=0.0, resid_pdrop=0.0
    ),
    "gemma2": lambda: transformers.Gemma2Config(
        vocab_size=VOCAB, **WIDE, num_key_value_heads=2, head_dim=8, max_position_embeddings=64
    ),
}
LORA = [["lora.r=2"], ["lora.r=0"], ["lora.r=2", "lora.backend=peft"]]
TUNED = [*((kind, lora) for kind in OTHERS for lora in LORA), ("phi", LORA[0]), ("gemma2", LORA[1])]


def network(kind: str):
    torch.manual_seed(0)
    config = (CONFIGS | NOT_PLAIN)[kind]()
    config.bos_token_id = config.eos_token_id = config.pad_token_id = None
    return transformers.AutoModelForCausalLM.from_config(config).eval()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Each network as a folder that came from the hub, with our tokenizer in it."""
    root = tmp_path_factory.mktemp("bases")
    tokenizer = Tokenizer.train(texts=[TEXT], vocab_size=300)
    for kind in CONFIGS | NOT_PLAIN:
        network(kind).save_pretrained(root / kind)
        tokenizer.save(root / kind / "tokenizer.json")
    (root / "rows.csv").write_text("text\n" + "\n".join(TEXT.split(". ")))
    return root


@pytest.mark.parametrize("kind", CONFIGS)
class TestFace:
    def test_logits_loss_and_gradients_are_theirs(self, kind) -> None:
        theirs, ours = network(kind), TransformersCausal(network(kind))
        logits = theirs(input_ids=IDS, use_cache=False).logits
        torch.testing.assert_close(ours(IDS)[0], logits, atol=1e-5, rtol=0)
        expected = F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), ignore_index=-100)
        loss = ours(IDS, TARGETS)[1]
        torch.testing.assert_close(loss, expected, atol=1e-5, rtol=0)
        torch.testing.assert_close(ours(IDS, TARGETS, reduction="sum")[1], expected * 16, atol=1e-4, rtol=0)
        expected.backward()
        loss.backward()
        for (name, one), (_, other) in zip(theirs.named_parameters(), ours.network.named_parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4, msg=name)

    @pytest.mark.filterwarnings("error:.*past_key_values:FutureWarning")
    def test_the_cache_changes_nothing_and_has_no_deprecated_name(self, kind) -> None:
        ours = TransformersCausal(network(kind))
        cache = ours.new_cache()
        with torch.no_grad():
            pieces = [ours(part, cache=cache)[0] for part in IDS.split([5, 1, 6], dim=1)]
            torch.testing.assert_close(torch.cat(pieces, dim=1), ours(IDS)[0], atol=1e-5, rtol=0)
        assert cache.length == 12

    def test_greedy_sampling_is_theirs(self, kind) -> None:
        theirs, ours = network(kind), TransformersCausal(network(kind))
        options = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0}
        expected = theirs.generate(IDS, attention_mask=torch.ones_like(IDS), **options)
        assert torch.equal(generate(ours, IDS, max_new_tokens=10, temperature=0), expected)

    def test_an_adapter_works_in_peft_under_their_names(self, kind, tmp_path) -> None:
        ours = apply_lora(TransformersCausal(network(kind)), LoraConfig(r=3, target_modules="all-linear"))
        with torch.no_grad():
            for parameter in lora_parameters(ours):
                parameter.add_(0.1 * torch.randn_like(parameter))
        save_adapter(ours, tmp_path)
        theirs = peft.PeftModel.from_pretrained(network(kind), tmp_path).eval()
        with torch.no_grad():
            adapted = ours(IDS)[0]
            torch.testing.assert_close(theirs(input_ids=IDS, use_cache=False).logits, adapted, atol=1e-5, rtol=0)
            again = load_adapter(TransformersCausal(network(kind)), tmp_path)
            assert torch.equal(again(IDS)[0], adapted)
            with adapter_disabled(ours):
                torch.testing.assert_close(ours(IDS)[0], TransformersCausal(network(kind))(IDS)[0])
        assert not torch.allclose(adapted, TransformersCausal(network(kind))(IDS)[0])


@pytest.mark.filterwarnings("error:.*checkpointing:FutureWarning")
def test_activations_computed_again_give_the_same_loss_and_no_warning() -> None:
    model = TransformersCausal(network("bloom")).train()
    for wanted in (False, True, False):
        model.checkpoints_activations = wanted
        assert model.checkpoints_activations is wanted
        loss = model(IDS, TARGETS)[1]
        loss.backward()
        assert loss.item() == pytest.approx(model.eval()(IDS, TARGETS)[1].item(), rel=1e-5)
        model.train()


def test_an_adapter_on_the_head_has_its_part_in_the_loss() -> None:
    model = apply_lora(TransformersCausal(network("llama")), LoraConfig(r=2, target_modules=["lm_head"]))
    assert model.hidden_matrices()
    assert model.flops_per_token(12) > 0
    before = model(IDS, TARGETS)[1].item()
    with torch.no_grad():
        for parameter in lora_parameters(model):
            parameter.add_(0.3)
    logits, loss = model(IDS)[0], model(IDS, TARGETS)[1]
    torch.testing.assert_close(loss, F.cross_entropy(logits.flatten(0, 1), TARGETS.flatten(), ignore_index=-100))
    torch.testing.assert_close(model(IDS, TARGETS, reduction="rows")[1].sum(), model(IDS, TARGETS, reduction="sum")[1])
    assert loss.item() != before


def test_gpt2_becomes_ours_and_the_others_theirs(folders) -> None:
    assert isinstance(load_pretrained(folders / "gpt2"), GPT2)
    for kind in OTHERS:
        model = load_pretrained(folders / kind)
        assert isinstance(model, TransformersCausal)
        torch.testing.assert_close(model(IDS)[0], network(kind)(input_ids=IDS).logits, atol=1e-5, rtol=0)


def settings(folders, kind, *more):
    overrides = [
        "task=lm",
        f"base={folders / kind}",
        f"data.path={folders / 'rows.csv'}",
        "data.seq_len=24",
        "data.batch_size=4",
        "train.max_steps=6",
        "train.learning_rate=0.01",
        "train.warmup_steps=0",
        "train.eval_every=6",
        "train.sample_every=6",
        "train.checkpoint_every=3",
        "train.precision=fp32",
        "train.device=cpu",
        "train.tensorboard=false",
        "sample.max_new_tokens=8",
        'sample.prompts=["the cat"]',
    ]
    return load_config(overrides=[*overrides, *more])


@pytest.mark.parametrize(("kind", "lora"), TUNED, ids=str)
def test_tuned_saved_resumed_and_loaded(folders, kind, lora, tmp_path) -> None:
    config = settings(folders, kind, *lora)
    task, config, _ = tuning_task_from_config(config)
    fit(task, config, tmp_path / "run", progress=False)
    losses = [line["val_loss"] for line in read_json_lines(tmp_path / "run" / "metrics.jsonl") if "val_loss" in line]
    assert losses[-1] < losses[0]
    (sample,) = read_json_lines(tmp_path / "run" / "samples.jsonl")[-1:]
    assert sample["prompt"] == "the cat"
    whole = tmp_path / "run" / "checkpoints" / "step_00000006"
    weights = (whole / "model.safetensors").read_bytes()
    (whole / "state.json").unlink()  # as a damaged disk would: back to step 3
    again, config, _ = tuning_task_from_config(settings(folders, kind, *lora))
    fit(again, config, tmp_path / "run", resume=True, progress=False)
    assert (whole / "model.safetensors").read_bytes() == weights
    loaded = load_base_model(tmp_path / "run").eval()
    torch.testing.assert_close(loaded(IDS)[0], task.model.eval()(IDS)[0], atol=1e-4, rtol=1e-4)


def test_our_gpt2_under_peft_learns_as_under_our_own_adapters(folders, tmp_path) -> None:
    losses = {}
    for backend in ("bytemill", "peft"):
        task, config, _ = tuning_task_from_config(
            settings(folders, "gpt2", "lora.r=2", f"lora.backend={backend}", "train.sample_every=0")
        )
        fit(task, config, tmp_path / backend, progress=False)
        losses[backend] = [line["loss"] for line in read_json_lines(tmp_path / backend / "metrics.jsonl")[1:]]
        merged = load_base_model(tmp_path / backend).eval()
        torch.testing.assert_close(merged(IDS)[0], task.model.eval()(IDS)[0], atol=1e-4, rtol=1e-4)
    assert losses["peft"][0] == pytest.approx(losses["bytemill"][0], abs=1e-5)
    assert losses["peft"][-1] < losses["peft"][0]


def test_a_tokenizer_smaller_than_the_model_never_meets_an_unknown_id(folders) -> None:
    tokenizer = Tokenizer.load(folders / "llama" / "tokenizer.json")
    assert tokenizer.n_vocab < VOCAB
    texts = TextGenerator(load_pretrained(folders / "llama"), tokenizer).complete(
        "the", n_samples=20, max_new_tokens=20, temperature=5.0, seed=0
    )
    assert len(texts) == 20


class TestRefused:
    def test_a_gpt2_with_fewer_ids_than_its_tokenizer(self, folders) -> None:
        tokenizer = Tokenizer.train(
            texts=["to be or not to be"], vocab_size=VOCAB + 2, special_tokens=[f"<{n}>" for n in range(60)]
        )
        assert tokenizer.n_vocab > VOCAB
        with pytest.raises(DataError, match="this tokenizer does not match this model"):
            TextGenerator(load_pretrained(folders / "gpt2"), tokenizer)

    def test_an_unknown_architecture(self, tmp_path) -> None:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "perceptron"}))
        with pytest.raises(FormatError, match="transformers cannot load it"):
            load_pretrained(tmp_path)
        with pytest.raises(ConfigError, match="'perceptron' is not a causal language model"):
            TransformersCausal.from_settings({"model_type": "perceptron"})

    def test_a_tokenizer_that_is_no_byte_level_bpe(self, tmp_path) -> None:
        content = {"version": "1.0", "model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 0}}
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        with pytest.raises(FormatError, match=r"tokenizer\.json.*Unigram"):
            Tokenizer.load(tmp_path)
