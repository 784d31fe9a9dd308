"""The page that runs a model: what is in it, how large it is, and what is refused."""

import base64
import hashlib
import json
import re
import sys

import numpy as np
import pytest
import torch

from bytemill import Tokenizer, cli
from bytemill.errors import ArgumentError, ConfigError
from bytemill.report.model_page.export import MAX_PARAMETERS
from bytemill.report.model_page.vocabulary import javascript_pattern, page_vocabulary
from bytemill.report.model_page.weights import int8_rows, packed_weights
from bytemill.tasks.tokenizer_files import tokenizer_files
from page_reader import Reader
from sample_model_pages import export, model_of, rounded, trained

HOSTILE = "</script><script>alert('1')</script><!-- &lt; \"$name"


def elements(path):
    """The content of the page's script elements: model, numbers, rows, script."""
    reader = Reader(path.read_text(encoding="utf-8"))
    model, numbers, rows, script = reader.scripts
    return json.loads(model), base64.b64decode(numbers), base64.b64decode(rows), script


@pytest.mark.parametrize(
    "settings", [{}, {"tie_word_embeddings": False, "qkv_bias": False}], ids=["tied", "untied, no qkv bias"]
)
def test_the_page_has_all_weights_in_int8(tmp_path, settings):
    tokenizer = trained()
    model = model_of(tokenizer, vocab_size=tokenizer.n_vocab + 5, **settings)
    export(tmp_path / "m.html", tokenizer, model)
    contents, numbers, rows, _ = elements(tmp_path / "m.html")
    numbers, rows = np.frombuffer(numbers, "<f4"), np.frombuffer(rows, np.int8)
    wanted = {name: tensor.numpy() for name, tensor in rounded(model).state_dict().items()}
    for name in wanted.keys() & {"token_embedding.weight", "head.weight"}:
        wanted[name] = wanted[name][: tokenizer.n_vocab]  # neither padding nor ids that the tokenizer does not have
    if not model.config.qkv_bias:
        wanted |= {f"blocks.{block}.attention.qkv.bias": np.zeros(3 * 36) for block in range(2)}
    assert contents["layout"].keys() == wanted.keys()
    for name, place in contents["layout"].items():
        found = numbers[place["number"] :][: place["shape"][0]]
        if "row" in place:
            n_rows, n_columns = place["shape"]
            found = rows[place["row"] :][: n_rows * n_columns].reshape(n_rows, n_columns) * found[:, None]
        np.testing.assert_array_equal(found, wanted[name], err_msg=name)


def test_rounding_moves_a_weight_by_at_most_half_a_scale():
    torch.manual_seed(1)
    matrix = torch.randn(50, 33) * torch.logspace(-6, 6, 50)[:, None]
    matrix[7] = 0
    rows, scales = int8_rows(matrix)
    assert rows.dtype == torch.int8
    assert int(rows.min()) == -127 or int(rows.max()) == 127
    error = (rows * scales[:, None] - matrix).abs()
    assert (error <= 0.5001 * scales[:, None]).all()
    assert float(error.max()) > 0
    assert scales[7] == 0
    assert not rows[7].any()


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_damaged_weight_is_named(value):
    model = model_of(trained())
    with torch.no_grad():
        model.blocks[1].mlp.expand.weight[3, 4] = value
    with pytest.raises(ConfigError, match=r"blocks\.1\.mlp\.expand\.weight: some weights are NaN or infinite"):
        packed_weights(model, 300)


def test_the_size_is_at_most_1_45_bytes_per_parameter_and_200_kb(tmp_path):
    tokenizer = trained()
    sizes, counts = [], []
    for n_layer in (1, 3):
        model = model_of(tokenizer, n_embd=192, n_layer=n_layer)
        export(tmp_path / "m.html", tokenizer, model)
        sizes.append((tmp_path / "m.html").stat().st_size)
        counts.append(model.n_parameters())
    assert sizes[1] - sizes[0] <= 1.45 * (counts[1] - counts[0])
    vocabulary_bytes = len(tokenizer_files(tokenizer)["tokenizer.json"].encode())
    assert sizes[0] <= 1.45 * counts[0] + vocabulary_bytes + 200_000


def test_the_largest_model_is_named(tmp_path, monkeypatch):
    assert MAX_PARAMETERS == 32_000_000
    tokenizer = trained()
    model = model_of(tokenizer)
    monkeypatch.setattr("bytemill.report.model_page.export.MAX_PARAMETERS", model.n_parameters())
    export(tmp_path / "m.html", tokenizer, model)
    limit = model.n_parameters() - 1
    monkeypatch.setattr("bytemill.report.model_page.export.MAX_PARAMETERS", limit)
    with pytest.raises(ConfigError, match=f"^place: the model has .* parameters, and a page can .* at most {limit:,};"):
        export(tmp_path / "n.html", tokenizer, model)
    assert not (tmp_path / "n.html").exists()


def test_the_policy_allows_the_page_s_script_and_style_and_nothing_else(tmp_path):
    export(tmp_path / "m.html")
    html = (tmp_path / "m.html").read_text(encoding="utf-8")
    style = re.search("<style>(.*)</style>", html, re.DOTALL)[1]
    script = elements(tmp_path / "m.html")[3]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (script, style)]
    policy = next(
        attributes["content"]
        for tag, attributes in Reader(html).tags
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digests[0]}'; style-src 'sha256-{digests[1]}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_page_loads_nothing(tmp_path):
    export(tmp_path / "m.html")
    html = (tmp_path / "m.html").read_text(encoding="utf-8")
    assert "http://" not in html
    assert "https://" not in html
    linked = [attributes.get("src") or attributes.get("href") for _, attributes in Reader(html).tags]
    assert set(linked) == {None, "data:,"}


def test_hostile_names_stay_text(tmp_path):
    export(tmp_path / "<b>\"'&$rows.html", trained(special_tokens=[HOSTILE]))
    reader = Reader((tmp_path / "<b>\"'&$rows.html").read_text(encoding="utf-8"))
    assert "<b>\"'&$rows" in reader.text
    assert "b" not in {tag for tag, _ in reader.tags}
    assert len(reader.scripts) == 4
    assert json.loads(reader.scripts[0])["vocabulary"]["special"] == {"299": HOSTILE}


def test_the_model_s_ends_are_in_the_page(tmp_path):
    tokenizer = trained(special_tokens=["<|endoftext|>", "<|im_end|>"])
    said = export(tmp_path / "m.html", tokenizer, template="chatml")
    config = elements(tmp_path / "m.html")[0]["config"]
    ends = {tokenizer.special_tokens[name] for name in ("<|endoftext|>", "<|im_end|>")}
    assert (config["startId"], set(config["stopIds"])) == (tokenizer.end_of_text_id, ends)
    assert said == ["place: tuned with a template, which the page does not use: it continues the text that is typed"]


@pytest.mark.parametrize("pattern", [r"\w+|\W+", r"'s| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"])
def test_a_pattern_without_a_translation_is_refused(pattern):
    with pytest.raises(
        ConfigError, match=r"no translation of the pattern .*the patterns that work are gpt2, cl100k, o2"
    ):
        page_vocabulary(trained(pattern=pattern))


def test_every_spelling_of_a_pattern_has_the_same_translation():
    possessive = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
    assert javascript_pattern(possessive) == javascript_pattern("gpt2")
    assert javascript_pattern("gpt4") == javascript_pattern("cl100k") != javascript_pattern("gpt2")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"normalizer": "NFC"}, "normalizes text to NFC, which the page does not do"),
        (
            {
                "added_tokens": [
                    {"id": 300, "content": "<sep>", "special": False, "normalized": False}
                    | dict.fromkeys(("lstrip", "rstrip", "single_word"), False)
                ]
            },
            "finds the added token '<sep>' in any text, which the page cannot",
        ),
    ],
    ids=["normalizer", "added token"],
)
def test_vocabularies_that_the_page_cannot_use_are_refused(tmp_path, change, said):
    (tmp_path / "own.json").write_text(json.dumps(json.loads(trained().to_readable()) | change))
    with pytest.raises(ConfigError, match=said):
        page_vocabulary(Tokenizer.load(tmp_path / "own.json"))


def test_models_that_a_page_cannot_run_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="place: only a GPT-2 can be exported as a page"):
        export(tmp_path / "m.html", model=torch.nn.Linear(1, 1))
    with pytest.raises(ConfigError, match="place: the tokenizer has 300 ids, but the model only 299"):
        export(tmp_path / "m.html", model=model_of(trained(), vocab_size=299))
    with pytest.raises(ArgumentError, match=r"is a folder, but the page is one file; give a name such as .*model.html"):
        export(tmp_path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Go to a folder that has a model."""
    tokenizer = trained()
    (tmp_path / "hub").mkdir()
    for name, text in tokenizer_files(tokenizer, None).items():
        (tmp_path / "hub" / name).write_text(text, encoding="utf-8")
    model_of(tokenizer).save_huggingface(tmp_path / "hub")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", ["hub new/model.html", "hub new/model --format page"])
def test_the_command_writes_a_page(place, monkeypatch, capsys, line):
    found = run(monkeypatch, capsys, line)
    name = line.split()[1]
    assert found == (None, f"{name}\n", "")
    assert (place / name).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("hub m.html --weights f32", "--weights is for GGUF; add --format gguf"),
        ("hub m.html --adapter", "--adapter writes a folder, and a page is one file"),
        ("hub . --format page", "is a folder, but the page is one file; give a name such as model.html"),
        ("hub m.html --format pdf", "'pdf' is not one of 'transformers', 'gguf', 'page'"),
    ],
)
def test_misuse_is_one_sentence(place, monkeypatch, capsys, line, said):
    code, _, err = run(monkeypatch, capsys, line)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert said in err


def run(monkeypatch, capsys, line):
    monkeypatch.setattr(sys, "argv", ["bytemill", "model", "export", *line.split()])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, *capsys.readouterr()
