"""What is shown of a tokenizer is what it does: pieces, merges, comparisons, round trips."""

from collections.abc import Callable
from pathlib import Path

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from bytemill import Tokenizer
from bytemill.errors import ArgumentError, DataError
from bytemill.tokenizer.compare import compare
from bytemill.tokenizer.pieces import pieces, spelled
from bytemill.tokenizer.round_trip import Difference, check_round_trip, differences
from bytemill.tokenizer.source import open_tokenizer, open_tokenizers
from bytemill.tokenizer.trace import trace

TEXT = "the cat sat on the mat, and the dog sat on the log. 北京大学 and 北大."


@pytest.fixture(scope="module")
def small() -> Tokenizer:
    return Tokenizer.train(texts=[TEXT * 3], vocab_size=300)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=40))
def test_pieces_put_together_are_the_text(gpt2: Tokenizer, text: str) -> None:
    found = pieces(gpt2, text)
    assert b"".join(piece.token for piece in found) == text.encode("utf-8", "replace")
    assert [piece.id for piece in found] == gpt2.encode_ordinary(text)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="the catsondlg.,北京大学 \n'1289", max_size=40))
@pytest.mark.parametrize("pattern", ["gpt2", "cl100k", None])
def test_merging_step_by_step_gives_the_ids_of_encode(text: str, pattern: str | None) -> None:
    tokenizer = TRAINED[pattern]
    traces = trace(tokenizer, text)
    assert [token.id for one in traces for token in one.tokens] == tokenizer.encode_ordinary(text)
    for one in traces:
        lengths = [len(one.pretoken), *(len(step.pieces) for step in one.steps)]
        assert lengths == list(range(len(one.pretoken), len(one.pretoken) - len(lengths), -1))  # a merge a step
        assert all(b"".join(step.pieces) == one.pretoken for step in one.steps)


TRAINED = {
    pattern: Tokenizer.train(texts=[TEXT * 3], vocab_size=300, pattern=pattern) for pattern in ("gpt2", "cl100k", None)
}


def test_a_traced_step_names_the_merge_and_its_rank(small: Tokenizer) -> None:
    (the,) = trace(small, "the")
    assert [small.merges[step.rank] for step in the.steps] == [(step.left, step.right) for step in the.steps]


def test_special_tokens_become_one_piece_only_where_asked(small: Tokenizer) -> None:
    text = "a<|endoftext|>"
    assert [piece.is_special for piece in pieces(small, text, special=True)] == [False, True]
    assert not any(piece.is_special for piece in pieces(small, text))
    assert [one.pretoken for one in trace(small, text + "b", special=True)] == [b"a", b"b"]


def test_bytes_of_half_a_character_are_spelled_by_number() -> None:
    assert spelled(b" a\xe5\n\x1b") == " a\\xe5\\n\\x1b"


def test_the_words_of_the_source_reports(gpt2: Tokenizer, small: Tokenizer) -> None:
    found = compare({"gpt2": gpt2, "own": small}, {"text": TEXT}, ["论文", "博士", "China"])
    ids = {word.word: [piece.id for piece in word.pieces["gpt2"]] for word in found.words}
    assert ids == {"论文": [164, 106, 118, 23877, 229], "博士": [39355, 248, 18803], "China": [14581]}


def test_rank_files_give_the_words_of_the_source_reports_too(shared_data: Callable[[str], Path]) -> None:
    loaded = open_tokenizer(str(shared_data("tiktoken_vocabs/r50k_base.tiktoken")))
    assert [piece.id for piece in pieces(loaded, "论文")] == [164, 106, 118, 23877, 229]


def test_a_comparison_counts_each_text_and_shows_both_ends(gpt2: Tokenizer, small: Tokenizer) -> None:
    found = compare({"gpt2": gpt2, "own": small}, {"text": TEXT, "empty": ""})
    text, empty = found.texts
    assert text.n_tokens == {"gpt2": len(gpt2.encode_ordinary(TEXT)), "own": len(small.encode_ordinary(TEXT))}
    assert text.bytes_per_token("own") == len(TEXT.encode()) / text.n_tokens["own"]
    assert empty.n_tokens == {"gpt2": 0, "own": 0}
    ends = found.vocabularies["own"]
    assert [piece.id for piece in ends.first] == list(range(10))
    assert [piece.id for piece in ends.last] == list(range(small.n_vocab - 10, small.n_vocab))
    assert ends.last[-1].is_special


def test_ids_that_a_vocabulary_leaves_out_are_passed_over(shared_data: Callable[[str], Path]) -> None:
    cl100k = Tokenizer.load(shared_data("tiktoken_vocabs/cl100k_base.tiktoken"))
    last = compare({"cl100k": cl100k}, {"a": "b"}).vocabularies["cl100k"].last
    assert [piece.id for piece in last][-5:] == [100257, 100258, 100259, 100260, 100276]


def test_tokenizers_are_named_by_their_files_or_as_one_likes(tmp_path: Path, small: Tokenizer) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        small.save(tmp_path / folder / "tokenizer.json")
    found = open_tokenizers([str(tmp_path / "a" / "tokenizer.json"), str(tmp_path / "b"), f"mine={tmp_path / 'a'}"])
    assert list(found) == ["a", "b", "mine"]
    with pytest.raises(ArgumentError, match="two tokenizers are named 'a'"):
        open_tokenizers([str(tmp_path / "a"), f"a={tmp_path / 'b'}"])
    with pytest.raises(ArgumentError, match="no tokenizer 'nothing'; expected a file, a folder, hf:REPOSITORY"):
        open_tokenizer("nothing")


@settings(max_examples=60, deadline=None)
@given(text=st.text("aZé北1²٣ \n\t'’.,!_-\u3000\u00a0sld\ud800", max_size=40))  # assigned in every version of Unicode
def test_pretokens_are_those_of_the_pattern(gpt2: Tokenizer, text: str) -> None:
    assert [pretoken.decode() for pretoken in gpt2.pretokens(text)] == regex.findall(GPT2_PATTERN, clean(text))


GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def clean(text: str) -> str:
    """As the tokenizer reads it: lone surrogates are U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_vocabulary_that_cannot_be_fetched_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(name: str) -> None:
        raise ConnectionError(name)

    monkeypatch.setattr("tiktoken.get_encoding", unreachable)
    with pytest.raises(DataError, match="tiktoken has no copy of 'p50k_base'"):
        open_tokenizer("p50k_base")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=60))
def test_a_round_trip_is_lossless_just_for_utf8(small: Tokenizer, data: bytes) -> None:
    try:
        data.decode()
        is_text = True
    except UnicodeDecodeError:
        is_text = False
    assert check_round_trip(small, data).is_lossless == is_text


def test_the_manual_comes_back_as_it_was(gpt2: Tokenizer, shared_data: Callable[[str], Path]) -> None:
    found = check_round_trip(gpt2, shared_data("pku_manual/manual.txt").read_bytes())
    assert found.is_lossless
    assert found.n_bytes == 466_657


@pytest.mark.parametrize(
    ("original", "returned", "expected"),
    [
        ("one\ntwo", "one\ntxo", [Difference(2, 2, "w", "x")]),
        ("ab\nc", "ab c", [Difference(1, 1, "ab\nc", "ab c")]),
        ("same", "same", []),
        ("北大", "北", [Difference(1, 2, "大", "")]),
    ],
)
def test_differences_tell_line_column_and_characters(original: str, returned: str, expected: list[Difference]) -> None:
    assert list(differences(original, returned)) == expected
