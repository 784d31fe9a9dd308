"""Special tokens: texts that ordinary tokens have too, sets of them, and where they come from on a command line."""

import base64
import json
import sys
import warnings
from pathlib import Path

import pytest

from bytemill import Tokenizer
from bytemill.cli import main
from bytemill.errors import ArgumentError

FIRST = "dcc6891e0d4742855eeae0247ecad763eb7df3610aaa8fa1b4140fa13f340dbc"
SECOND = "1c6dc07c9b1759869f69fa4843d99d0411e823f929fadeb8b8c9f830823396bb"


@pytest.fixture
def run(capfd, monkeypatch):
    """Runs `bytemill tokenizer ARGUMENTS…` in this process; its exit code and what it printed."""

    def call(*arguments):
        monkeypatch.setattr("sys.argv", ["bytemill", "tokenizer", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            sys.exit(main())
        return stopped.value.code or 0, capfd.readouterr()

    return call


def _with_headings(**more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Tokenizer.train(
            texts=["### Title\n"] * 9, vocab_size=300, special_tokens=["<|endoftext|>", "###", "T"], **more
        )


def test_a_special_token_may_have_the_text_of_an_ordinary_one(tmp_path):
    tokenizer = _with_headings()
    ordinary, special = tokenizer.encode_single_token("###"), tokenizer.special_tokens["###"]
    assert (b"##", b"#") in tokenizer.merges
    assert ordinary != special == tokenizer.n_vocab - 2
    assert tokenizer.n_vocab == 256 + len(tokenizer.merges) + 3
    assert tokenizer.encode("###", allowed_special="all") == [special]
    assert tokenizer.encode_ordinary("###") == [ordinary]
    assert tokenizer.decode([ordinary, special]) == "######"
    assert tokenizer.encode("T", allowed_special={"T"}) == [tokenizer.n_vocab - 1]
    tokenizer.save(tmp_path / "t.json", format="readable")
    assert Tokenizer.load(tmp_path / "t.json").fingerprint == tokenizer.fingerprint
    for form in ("huggingface", "gpt2"):
        refusals = "would be written like an ordinary token|is also how the ordinary token"
        with pytest.raises(ArgumentError, match=refusals):
            tokenizer.save(tmp_path / "other", format=form)


def test_tiktoken_gives_the_same_ids_for_both():
    tokenizer = _with_headings()
    theirs = tokenizer.to_tiktoken()
    assert theirs.encode_single_token("###") == tokenizer.encode_single_token("###")
    for allowed in ({"###"}, {"T"}, "all", set()):
        text = "### Title T ##"
        expected = theirs.encode(text, allowed_special=allowed, disallowed_special=())
        assert tokenizer.encode(text, allowed_special=allowed, disallowed_special=()) == expected
    assert Tokenizer.from_tiktoken(theirs).fingerprint == tokenizer.fingerprint


def test_training_is_not_lost_where_a_tokenizer_json_cannot_hold_the_special_tokens(tmp_path, run):
    (tmp_path / "text.txt").write_text("### Title\n" * 9)
    output = tmp_path / "t.json"
    code, printed = run("train", tmp_path / "text.txt", "--vocab-size", 300, "--special-token", "###", "-o", output)
    assert code == 0
    assert "the form readable" in printed.err
    assert "the training text holds" in printed.err
    assert Tokenizer.load(output).encode("###", allowed_special="all") == [Tokenizer.load(output).n_vocab - 1]


def test_training_warns_of_special_tokens_in_the_text(tmp_path):
    (tmp_path / "text.txt").write_text("one<|endoftext|>two")
    with pytest.warns(UserWarning, match="holds .*endoftext.*give it as separator"):
        Tokenizer.train(tmp_path / "text.txt", vocab_size=260)
    with pytest.warns(UserWarning, match="endoftext"):
        Tokenizer.train(texts=["one", "two", "<|endoftext|>"], vocab_size=260, threads=2)
    Tokenizer.train(tmp_path / "text.txt", vocab_size=260, separator="<|endoftext|>")
    Tokenizer.train(tmp_path / "text.txt", vocab_size=260, special_tokens=())


def test_convert_takes_special_tokens_for_forms_that_hold_none(tmp_path, run):
    ranks = "".join(f"{base64.b64encode(bytes([byte])).decode()} {byte}\n" for byte in range(256))
    (tmp_path / "t.tiktoken").write_text(ranks)
    source, output = tmp_path / "t.tiktoken", tmp_path / "t.json"
    assert run("convert", source, output, "--pattern", "gpt2", "--special-token", "<end>=300")[0] == 0
    assert Tokenizer.load(output).special_tokens == {"<end>": 300}
    assert (
        run("convert", source, output, "--pattern", "gpt2", "--special-token", "<a>", "--special-token", "<b>")[0] == 0
    )
    assert Tokenizer.load(output).special_tokens == {"<a>": 256, "<b>": 257}
    code, printed = run("convert", source, output, "--special-token", "<a>", "--special-token", "<b>=300")
    assert code == 2
    assert "ids for only some tokens, expected for all or none" in printed.err


def test_only_some_of_many_special_tokens_are_allowed():
    many = {f"<|reserved_{number}|>": 300 + number for number in range(256)}
    tiktoken = pytest.importorskip("tiktoken")
    theirs = tiktoken.Encoding(
        "many", pat_str=r"\S+|\s+", mergeable_ranks={bytes([one]): one for one in range(256)}, special_tokens=many
    )
    ours = Tokenizer.from_tiktoken(theirs)
    text = " ".join(many)
    for allowed in (set(), set(list(many)[::3]), set(many), "all"):
        expected = theirs.encode(text, allowed_special=allowed, disallowed_special=())
        assert ours.encode(text, allowed_special=allowed, disallowed_special=()) == expected
    with pytest.raises(ValueError, match="reserved_1\\|"):
        ours.encode(text, allowed_special={"<|reserved_0|>"})


def test_fingerprints_of_plain_tokenizers_are_those_of_the_first_version():
    assert Tokenizer.train(texts=["low lower lowest"], vocab_size=262).fingerprint == FIRST
    pair = Tokenizer.train(
        texts=["low lower lowest"], vocab_size=264, pattern="cl100k", special_tokens=("<|a|>", "<|b|>")
    )
    assert pair.fingerprint == SECOND


def test_tekken_files_encode_as_tiktoken_does_behind_their_special_tokens(tmp_path):
    trained = Tokenizer.train(texts=["low lower lowest café"], vocab_size=270, special_tokens=())
    ranks = dict(trained.ranks())
    vocab = [
        {"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
        for token, rank in sorted(ranks.items(), key=lambda item: item[1])
    ]
    special = [
        {"rank": 0, "token_str": "<unk>", "is_control": True},
        {"rank": 1, "token_str": "<s>", "is_control": True},
    ]
    config = {"pattern": r"\p{L}+|[^\p{L}]", "num_vocab_tokens": len(vocab), "version": "v11"}
    config |= {"default_num_special_tokens": 10, "default_vocab_size": len(vocab) + 10}
    path = tmp_path / "tekken.json"
    path.write_text(json.dumps({"config": config, "vocab": vocab, "special_tokens": special}), encoding="utf-8")
    tokenizer = Tokenizer.load(Path(path))
    tiktoken = pytest.importorskip("tiktoken")
    theirs = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=ranks, special_tokens={})
    text = "lower café lowest low, slow"
    assert tokenizer.encode(text) == [rank + 10 for rank in theirs.encode(text)]
    assert tokenizer.special_tokens["<s>"] == 1
    assert tokenizer.special_tokens["<SPECIAL_9>"] == 9
    assert tokenizer.decode(tokenizer.encode(text)) == text
