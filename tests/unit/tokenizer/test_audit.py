"""The ten answers hold for every kind of tokenizer, and their figures are counted, not guessed."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bytemill import Tokenizer, _core
from bytemill.errors import DataError
from bytemill.tokenizer.audit import Answer, audit, read_languages
from bytemill.tokenizer.audit.boundaries import n_spellings
from bytemill.tokenizer.audit.entries import reachability
from bytemill.tokenizer.audit.languages import fertility
from bytemill.tokenizer.audit.samples import CODE, SENTENCES

QUESTIONS = 10


def rows(answer: Answer) -> list[dict[str, Any]]:
    return [dict(zip(answer.header, row, strict=True)) for row in answer.rows]


@pytest.fixture(scope="module")
def answers(gpt2: Tokenizer) -> tuple[Answer, ...]:
    return audit(gpt2)


@pytest.mark.parametrize(
    "tokenizer",
    [
        Tokenizer.train(texts=["low lower lowest"], vocab_size=262),
        Tokenizer.train(texts=[""], vocab_size=256, special_tokens=[]),
        Tokenizer.train(texts=["aaaa"], vocab_size=259, pattern=None, special_tokens=["<end>"]),
    ],
)
def test_every_tokenizer_gets_ten_answers_of_three_sentences(tokenizer: Tokenizer) -> None:
    found = audit(tokenizer)
    assert len(found) == QUESTIONS
    for answer in found:
        assert answer.question.endswith("?")
        assert answer.explanation.count(". ") >= 2
        assert all(len(row) == len(answer.header) for row in answer.rows)
    json.dumps([answer.as_dict() for answer in found])


def test_characters_are_told_in_code_points_bytes_and_ids(answers: tuple[Answer, ...]) -> None:
    north = rows(answers[0])[0]
    assert north == {
        "character": "北",
        "code point": "21271 (U+5317)",
        "UTF-8": "e5 8c 97",
        "bytes": 3,
        "tokens": 2,
        "ids": "44293 245",
    }


def test_a_larger_vocabulary_never_needs_more_tokens_and_ends_at_the_whole(
    answers: tuple[Answer, ...], gpt2: Tokenizer
) -> None:
    sizes = rows(answers[1])
    assert [row["ids"] for row in sizes] == [256 << i for i in range(8)] + [50_257]
    counts = [row["tokens"] for row in sizes]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == len("\n".join([*SENTENCES.values(), CODE]).encode())


def test_numbers_are_all_counted(answers: tuple[Answer, ...]) -> None:
    for row in rows(answers[4]):
        assert row["one token"] + row["two tokens"] + row["more"] == row["numbers"]
    assert sum(row["numbers"] for row in rows(answers[4])) == 10_000


def test_gpt2_spends_a_token_on_each_space_and_cl100k_does_not(
    answers: tuple[Answer, ...], shared_data: Callable[[str], Path]
) -> None:
    eight = next(row for row in rows(answers[5]) if row["indentation"] == "8 spaces")
    assert eight["tokens"] == 8
    cl100k = audit(Tokenizer.load(shared_data("tiktoken_vocabs/cl100k_base.tiktoken")))
    assert next(row for row in rows(cl100k[5]) if row["indentation"] == "8 spaces")["tokens"] == 1


def test_a_special_token_in_text_is_refused_unless_something_is_said(answers: tuple[Answer, ...]) -> None:
    as_text, as_token, default = rows(answers[6])
    assert as_text["tokens"] > as_token["tokens"]
    assert str(default["result"]).startswith("refused: ")


def test_every_token_is_of_one_kind(gpt2: Tokenizer) -> None:
    found = reachability(gpt2)
    kinds = (found.reachable, found.partial, found.impossible, found.unreachable)
    assert sum(map(len, kinds)) == len(set().union(*kinds)) == 50_256
    assert len(found.impossible) == 13


def test_tokens_that_the_pattern_cuts_are_unreachable() -> None:
    # Learnt without a pattern, used with one: no pretoken holds a letter and a full stop.
    without = Tokenizer.train(texts=["a.a.a.a."], vocab_size=257, pattern=None, special_tokens=[])
    ranks = without.ranks()
    mixed = Tokenizer(_core.tokenizer_from_ranks(ranks, r"\w+|\W+", []))
    assert reachability(mixed).unreachable == (256,)


def test_spellings_are_counted_by_brute_force() -> None:
    tokens = {b"a", b"b", b"ab", b"ba", b"aba"}

    def count(text: bytes) -> int:
        return 1 if not text else sum(count(text[n:]) for n in range(1, len(text) + 1) if text[:n] in tokens)

    for text in (b"", b"a", b"abab", b"bababa", b"c"):
        assert n_spellings(text, tokens) == count(text)


def test_languages_are_read_from_a_zip_and_incomplete_ones_left_out(tmp_path: Path, gpt2: Tokenizer) -> None:
    path = tmp_path / "languages.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/eng.txt", "all people are free " * 10)
        archive.writestr("x/deu.txt", "alle Menschen sind frei " * 10)
        archive.writestr("x/zzz.txt", "too short")
        archive.writestr("x/readme.md", "no language")
    texts = read_languages(path)
    assert set(texts) == {"English", "German", "zzz"}
    answer = fertility(gpt2, texts)
    assert [row["language"] for row in rows(answer)] == ["English", "German"]
    assert rows(answer)[0]["tokens a word"] == 1.0
    assert "1 incomplete ones left out" in answer.caption


def test_a_file_that_is_no_zip_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"a\.zip: not a ZIP file that can be read"):
        read_languages(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w"):
        pass
    with pytest.raises(DataError, match=r"b\.zip: contains no \.txt file"):
        read_languages(tmp_path / "b.zip")


def test_the_declaration_of_human_rights(gpt2: Tokenizer, shared_data: Callable[[str], Path]) -> None:
    answer = fertility(gpt2, read_languages(shared_data("multilingual/udhr2.zip")))
    assert len(answer.all_rows) == 377
    beside = {row[0]: row[6] for row in answer.all_rows}
    assert beside["English"] == 1.0
    assert beside["German"] < beside["Russian"] < beside["Burmese"]
