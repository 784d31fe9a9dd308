"""GGUF files: what the writer's own reader finds in them, what is refused, and the Modelfile for Ollama."""

import inspect
import json
import sys

import numpy as np
import pytest
import torch

from bytemill import Tokenizer, cli
from bytemill.cli.chat import chat
from bytemill.data.rows import Turn, conversation_parts
from bytemill.data.rows.jinja_templates import ChatTemplate
from bytemill.errors import ArgumentError, ConfigError
from bytemill.model import GPT2, GPT2Config
from bytemill.tasks.gguf import export_gguf
from bytemill.tasks.model_place import ModelPlace
from bytemill.tasks.modelfile import modelfile
from bytemill.tasks.tokenizer_files import tokenizer_files
from bytemill.tasks.usable_model import UsableModel
from bytemill.tokenizer.gguf import gguf_vocabulary
from go_templates import read_modelfile, render

gguf = pytest.importorskip("gguf", reason="extra `gguf` is not installed")

TEXT = "the cat sat on the mat. The dog sat, it's 12 o'clock.\n" * 3
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace("{1,3}", "")


def trained(**options):
    return Tokenizer.train(texts=[TEXT], **{"vocab_size": 280, **options})


def model_of(tokenizer, **settings):
    torch.manual_seed(0)
    sizes = {"vocab_size": tokenizer.n_vocab, "n_positions": 16, "n_embd": 64, "n_layer": 2, "n_head": 2, "n_inner": 96}
    model = GPT2(GPT2Config(**{**sizes, **settings}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def export(folder, tokenizer=None, model=None, template=None, **options):
    """Export into `folder`, from a place that has this template."""
    tokenizer = tokenizer or trained()
    model = model or model_of(tokenizer)
    for name, text in tokenizer_files(tokenizer, template).items():
        (folder / name).write_text(text, encoding="utf-8")
    said = []
    opened = UsableModel(ModelPlace(str(folder), folder), model, tokenizer, template or "alpaca")
    export_gguf(opened, folder / "model.gguf", say=said.append, **options)
    return gguf.GGUFReader(folder / "model.gguf"), said


def fields(reader):
    return {name: field.contents() for name, field in reader.fields.items()}


def numbers(reader):
    return {one.name: gguf.quants.dequantize(one.data, one.tensor_type) for one in reader.tensors}


def expected(model):
    state, vocab_size = model.state_dict(), model.config.vocab_size
    found = {
        "token_embd.weight": state["token_embedding.weight"][:vocab_size],
        "position_embd.weight": state["position_embedding.weight"],
        "output_norm.weight": state["final_norm.weight"],
        "output_norm.bias": state["final_norm.bias"],
    }
    if model.head is not None:
        found["output.weight"] = state["head.weight"][:vocab_size]
    names = {"attn_norm": "attention_norm", "attn_qkv": "attention.qkv", "attn_output": "attention.projection"}
    names |= {"ffn_norm": "mlp_norm", "ffn_up": "mlp.expand", "ffn_down": "mlp.contract"}
    for block in range(model.config.n_layer):
        for theirs, ours in names.items():
            for kind in ("weight", "bias"):
                qkv_bias = torch.zeros(3 * model.config.n_embd)
                found[f"blk.{block}.{theirs}.{kind}"] = state.get(f"blocks.{block}.{ours}.{kind}", qkv_bias)
    return {name: tensor.numpy() for name, tensor in found.items()}


@pytest.mark.parametrize(
    "settings", [{}, {"tie_word_embeddings": False}, {"qkv_bias": False}], ids=["tied", "untied", "no qkv bias"]
)
def test_all_weights_are_there_in_f32_without_padded_rows(tmp_path, settings):
    tokenizer = trained()
    model = model_of(tokenizer, **settings)
    reader, said = export(tmp_path, tokenizer, model, number_type="f32")
    found, wanted = numbers(reader), expected(model)
    assert model.config.padded_vocab_size > len(found["token_embd.weight"]) == tokenizer.n_vocab
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)
    assert said == []


def test_sizes_are_in_the_metadata(tmp_path):
    found = fields(export(tmp_path)[0])
    assert found["general.architecture"] == "gpt2"
    sizes = {"context_length": 16, "embedding_length": 64, "feed_forward_length": 96, "block_count": 2}
    assert {name: found[f"gpt2.{name}"] for name in sizes} == sizes
    assert found["gpt2.attention.head_count"] == 2
    assert found["gpt2.attention.layer_norm_epsilon"] == pytest.approx(1e-5)


@pytest.mark.parametrize(
    ("number_type", "file_type", "error"), [("f16", 1, 2**-11), ("bf16", 32, 2**-8), ("q8_0", 7, None)]
)
def test_matrices_have_the_number_type_and_the_rest_is_f32(tmp_path, number_type, file_type, error):
    model = model_of(trained())
    reader, _ = export(tmp_path, model=model, number_type=number_type)
    assert fields(reader)["general.file_type"] == file_type
    found, wanted = numbers(reader), expected(model)
    for one in reader.tensors:
        is_f32 = wanted[one.name].ndim == 1 or one.name == "position_embd.weight"
        assert one.tensor_type.name == ("F32" if is_f32 else number_type.upper())
        difference = np.abs(found[one.name] - wanted[one.name])
        if is_f32:
            assert not difference.any()
        elif error is not None:
            assert (difference <= error * np.abs(wanted[one.name]) + 1e-7).all()
        else:  # 127 steps for the largest weight of 32; its scale is rounded to f16
            largest = np.abs(wanted[one.name].reshape(-1, 32)).max(axis=1, keepdims=True)
            assert (difference.reshape(-1, 32) <= largest * (0.5 / 127 + 2**-10)).all()


def test_rows_that_are_no_whole_blocks_of_q8_0_are_f16(tmp_path):
    tokenizer = trained()
    reader, said = export(tmp_path, tokenizer, model_of(tokenizer, n_embd=48), number_type="q8_0")
    kinds = {one.name: one.tensor_type.name for one in reader.tensors}
    assert kinds["token_embd.weight"] == kinds["blk.0.ffn_up.weight"] == "F16"
    assert kinds["blk.0.ffn_down.weight"] == "Q8_0"  # its rows have 96 weights
    assert "matrices with other rows are f16" in said[0]


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "NaN or infinite"), (1e5, "too large for f16")])
def test_weights_that_the_type_cannot_hold_are_refused_and_no_file_is_left(tmp_path, value, said):
    model = model_of(trained())
    with torch.no_grad():
        model.blocks[1].mlp.expand.weight[5, 3] = value
    with pytest.raises(ConfigError, match=f"blk.1.ffn_up.weight: .*{said}"):
        export(tmp_path, model=model)
    assert not [path for path in tmp_path.iterdir() if "gguf" in path.name]
    if value == 1e5:
        export(tmp_path, model=model, number_type="bf16")


def test_the_vocabulary_is_written_as_llama_cpp_reads_it(tmp_path):
    tokenizer = trained(vocab_size=263, special_tokens=["<|endoftext|>", "<|im_end|>"])
    reader, _ = export(tmp_path, tokenizer, model_of(tokenizer, vocab_size=264))
    found = fields(reader)
    tokens, types = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert found["tokenizer.ggml.model"] == "gpt2"
    assert len(tokens) == len(types) == 264
    assert (tokens[ord("a")], tokens[ord(" ")], tokens[0], tokens[0xFF]) == ("a", "Ġ", "Ā", "ÿ")
    assert tokens[256:] == ["at", "he", "sat", "the", "Ġo", "<|endoftext|>", "<|im_end|>", "[PAD263]"]
    assert types == [1] * 261 + [3, 3, 5]
    assert found["tokenizer.ggml.merges"] == ["a t", "h e", "s at", "t he", "Ġ o"]
    assert {one: text for text, one in tokenizer.get_vocab().items()} == dict(enumerate(tokens[:263]))
    assert (found["tokenizer.ggml.add_bos_token"], found["tokenizer.ggml.add_eos_token"]) == (False, False)


def with_added_tokens(folder, **changes):
    """Return a tokenizer with an added token that is not special, an unused id before it, and other changes."""
    contents = json.loads(trained(vocab_size=260).to_readable())
    added = {"id": 262, "content": "<tool>", "special": False, "normalized": False}
    flags = {"lstrip": False, "rstrip": False, "single_word": False}
    contents["added_tokens"] = [added | flags | changes.pop("flags", {})]
    (folder / "own.json").write_text(json.dumps(contents | changes))
    return Tokenizer.load(folder / "own.json")


def test_added_tokens_are_user_defined_and_skipped_ids_unused(tmp_path):
    found = gguf_vocabulary(with_added_tokens(tmp_path), 263)
    assert (found.tokens[259:], found.types[259:]) == (
        ["<|endoftext|>", "[PAD260]", "[PAD261]", "<tool>"],
        [3, 5, 5, 4],
    )
    assert found.differences == ()


def test_what_llama_cpp_does_not_do_is_said(tmp_path):
    tokenizer = with_added_tokens(tmp_path, normalizer="NFC", flags={"lstrip": True})
    assert gguf_vocabulary(tokenizer, 263).differences == (
        "text is not normalized to NFC before it is split",
        "the token <tool> is found without its lstrip",
    )


@pytest.mark.parametrize(
    ("pattern", "pre", "differs"),
    [
        ("gpt2", "gpt-2", None),
        (r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "gpt-2", None),
        ("cl100k", "dbrx", "white space at the end"),
        (LLAMA3, "dbrx", "long s"),
        (QWEN2, "qwen2", "long s"),
        ("o200k", "gpt-4o", "not split before capitals"),
    ],
    ids=["gpt2", "gpt2 as in the paper", "cl100k", "llama3", "qwen2", "o200k"],
)
def test_the_rule_follows_from_the_pattern(tmp_path, pattern, pre, differs):
    reader, said = export(tmp_path, trained(pattern=pattern))
    assert fields(reader)["tokenizer.ggml.pre"] == pre
    assert len(said) == (0 if differs is None else 1)
    assert differs is None or differs in said[0]


def test_a_vocabulary_that_ignores_merges_gets_llama_3_s_rule(tmp_path):
    def ignoring(pattern):
        contents = json.loads(trained(pattern=pattern).to_readable()) | {"ignore_merges": True}
        contents["vocab"]["280"] = b"whole".hex()  # no merges lead to this token
        (tmp_path / "own.json").write_text(json.dumps(contents))
        return Tokenizer.load(tmp_path / "own.json")

    assert gguf_vocabulary(ignoring(LLAMA3), 281).pre == "llama-bpe"
    with pytest.raises(ConfigError, match=r"has ignore_merges, which llama.cpp does not support with its rule 'gpt-2'"):
        gguf_vocabulary(ignoring("gpt2"), 281)


@pytest.mark.parametrize(
    ("pattern", "nearest"),
    [
        (LLAMA3.replace("{1,3}", "{1,2}"), "cl100k"),
        (r" ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", "gpt2"),
        (None, "gpt2|cl100k|o200k"),
    ],
)
def test_another_pattern_is_refused_and_the_nearest_named(tmp_path, pattern, nearest):
    with pytest.raises(ConfigError, match=rf"no rule for .*the nearest that it has is ({nearest}): train .*--pattern"):
        export(tmp_path, trained(pattern=pattern))
    assert not (tmp_path / "model.gguf").exists()


def test_vocabularies_that_cannot_be_expressed_are_refused(tmp_path):
    tokenizer = trained()
    with pytest.raises(ConfigError, match="the tokenizer has 280 ids, but the model only 279"):
        gguf_vocabulary(tokenizer, 279)
    with pytest.raises(ConfigError, match="has no merges"):
        gguf_vocabulary(Tokenizer.train(texts=[""], vocab_size=257), 257)
    with pytest.raises(ConfigError, match="tokens 260 and 279 are both written 'Ġo'"):
        gguf_vocabulary(trained(special_tokens=["Ġo"]), 280)


@pytest.mark.parametrize(
    ("special", "template", "ids"),
    [
        (["<|endoftext|>"], None, {"bos": 279, "eos": 279, "eot": 279, "padding": 279}),
        (["<|endoftext|>"], "chatml", {"bos": 279, "eos": 279, "eot": 279, "padding": 279}),
        (
            ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            "chatml",
            {"bos": 277, "eos": 279, "eot": 279, "padding": 277, "eom": 277},
        ),
        ([], None, {"bos": 255, "eos": 255, "eot": 255}),
    ],
    ids=["text", "chatml as text", "chatml", "no end"],
)
def test_special_ids(tmp_path, special, template, ids):
    found = fields(export(tmp_path, trained(special_tokens=special), template=template)[0])
    ending = "_token_id"
    assert {name[15:-9]: one for name, one in found.items() if name.endswith(ending)} == ids
    assert ("tokenizer.chat_template" in found) == (template is not None)


def test_the_exact_gelu_is_said_to_differ(tmp_path):
    tokenizer = trained()
    _, said = export(tmp_path, tokenizer, model_of(tokenizer, activation_function="gelu"))
    assert "computes GELU by its tanh form" in said[0]


CONVERSATIONS = [
    [("user", "Hi!")],
    [("system", "Be brief."), ("user", " two\n\nlines {{ .Content }} “q”")],
    [("user", "A"), ("assistant", "B\n"), ("user", "C")],
    [("system", "S"), ("user", "A"), ("assistant", "B"), ("user", "C"), ("assistant", "D"), ("user", "北京")],
]


@pytest.mark.parametrize("template", ["alpaca", "alpaca_one_header", "chatml", "chatml_text"])
@pytest.mark.parametrize("special", [["<|endoftext|>"], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]])
def test_the_modelfile_s_prompt_is_that_of_training_byte_for_byte(template, special):
    tokenizer = trained(special_tokens=special)
    commands = dict(read_modelfile(modelfile("m.gguf", tokenizer, template, n_positions=64)))
    end = "<|im_end|>" if template == "chatml" and len(special) == 3 else "<|endoftext|>"
    for conversation in CONVERSATIONS:
        parts = conversation_parts([Turn(*turn) for turn in conversation], template=template)
        wanted = "".join(part.text + (end if part.is_answer else "") for part in parts)
        messages = [{"Role": role, "Content": text} for role, text in conversation]
        assert render(commands["TEMPLATE"], {"Messages": messages}) == wanted


def test_the_modelfile_has_file_stops_and_parameters(tmp_path):
    export(tmp_path, template="alpaca", ollama=True)
    commands = read_modelfile((tmp_path / "Modelfile").read_text(encoding="utf-8"))
    assert commands[0] == ("FROM", "./model.gguf")
    assert [value for name, value in commands if name == "stop"] == ["<|endoftext|>", "\n\n### Instruction:"]
    assert {("num_ctx", "16"), ("num_predict", "8"), ("repeat_penalty", "1")} <= set(commands)


def test_a_model_that_was_not_tuned_continues_the_prompt(tmp_path):
    export(tmp_path, ollama=True)
    commands = dict(read_modelfile((tmp_path / "Modelfile").read_text(encoding="utf-8")))
    assert (commands["TEMPLATE"], commands["stop"]) == ("{{ .Prompt }}", "<|endoftext|>")


def test_a_template_of_the_model_s_own_has_no_modelfile():
    own = ChatTemplate("{{ messages }}", (), {})
    with pytest.raises(ConfigError, match="its own chat template, in Jinja, which Ollama cannot read"):
        modelfile("m.gguf", trained(), own, n_positions=64)


@pytest.mark.parametrize("name", ['<"""end>', '<end>"', "<{{end>"])
def test_a_token_that_a_modelfile_cannot_hold_is_refused(name):
    tokenizer = trained(special_tokens=["<|endoftext|>", name])
    own_end = ChatTemplate("", (), {"eos_token": name})
    with pytest.raises(ConfigError, match="cannot be written"):
        modelfile("m.gguf", tokenizer, None, n_positions=64, stop_ids=[279]) if "{{" not in name else _go(own_end)


def _go(template):
    from bytemill.data.rows.go_templates import go_template_of

    return go_template_of("chatml", template.names["eos_token"])


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to a folder that has a model."""
    tokenizer = trained()
    for name, text in tokenizer_files(tokenizer, "chatml").items():
        (tmp_path / "hub").mkdir(exist_ok=True)
        (tmp_path / "hub" / name).write_text(text, encoding="utf-8")
    model_of(tokenizer).save_huggingface(tmp_path / "hub")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, capsys, line):
    monkeypatch.setattr(sys, "argv", ["bytemill", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, *capsys.readouterr()


def test_the_command_writes_file_and_modelfile(place, monkeypatch, capsys):
    code, out, err = run(monkeypatch, capsys, "model export hub new/model.gguf --weights bf16 --ollama")
    assert (code, out.split(), err) == (None, ["new/model.gguf", "new/Modelfile"], "")
    assert fields(gguf.GGUFReader(place / "new" / "model.gguf"))["general.file_type"] == 32


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("hub out --weights f32", 2, "--weights is for GGUF; add --format gguf"),
        ("hub out --ollama", 2, "--ollama is for GGUF; add --format gguf"),
        ("hub m.gguf --adapter", 2, "--adapter writes a folder, and GGUF is one file"),
        ("hub hub --format gguf", 2, "is also an input"),
        ("hub . --format gguf", 2, "is a folder, but GGUF is one file; give a name such as model.gguf"),
        ("hub m.gguf --weights q4_0", 2, "'q4_0' is not one of 'f32', 'f16', 'bf16', 'q8_0'"),
    ],
)
def test_misuse_is_one_sentence(place, monkeypatch, capsys, line, code, said):
    found, _, err = run(monkeypatch, capsys, f"model export {line}")
    assert (found, len(err.splitlines())) == (code, 1), err
    assert said in err


def test_a_missing_package_is_named(place, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("bytemill.extras.find_spec", lambda name: None if name == "gguf" else True)
    code, _, err = run(monkeypatch, capsys, "model export hub m.gguf")
    assert (code, err) == (1, "bytemill: this command needs gguf: pip install 'bytemill[gguf]'\n")


def test_a_network_of_transformers_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="only a GPT-2 can be exported as GGUF"):
        export(tmp_path, model=torch.nn.Linear(1, 1))


def test_a_file_in_a_checkpoint_is_refused(tmp_path):
    for name in ("state.json", "optimizer.safetensors"):
        (tmp_path / name).touch()
    with pytest.raises(ArgumentError, match="is a checkpoint"):
        export(tmp_path)


def test_a_modelfile_has_the_defaults_of_the_chat():
    defaults = {name: one.default for name, one in inspect.signature(chat).parameters.items()}
    text = modelfile("model.gguf", Tokenizer.train(texts=["low lower"], vocab_size=260), None, n_positions=4096)
    parameters = dict(line.split()[1:] for line in text.splitlines() if line.startswith("PARAMETER"))
    assert float(parameters["temperature"]) == defaults["temperature"]
    assert int(parameters["top_k"]) == defaults["top_k"]
    assert int(parameters["num_predict"]) == defaults["max_new_tokens"]
