"""The corpus of the standard library: the same every time, bounded, and nothing of the test in training."""

import json
import zipfile
from pathlib import Path

import pytest

from bytemill.errors import DataError
from bytemill.experiment.demo import text as stdlib
from bytemill.experiment.demo.questions import first_sentence, make_rows, sentence_key
from bytemill.experiment.demo.sources import Definition, Library, parse_module, read_library
from bytemill.experiment.demo.text import Corpus, read_corpus, write_corpus

SHAPES = b'''# Copyright somebody.

"""Flat shapes."""

class Circle:
    """A round shape without any corners."""

    def area(self, *, unit="cm"):
        """Return the area of the circle.

        In the square of unit.
        """
        return 3.14

    def nothing(self):
        "Do nothing at all here."

async def draw(shape, *shapes, **options) -> None:
    "Draw shapes one after another"; print(shape)
'''


@pytest.fixture(scope="module")
def library() -> Library:
    return read_library()


@pytest.fixture(scope="module")
def corpus(library: Library) -> Corpus:
    return read_corpus(1_000_000, seed=3, library=library)


def definition(docstring: str, name: str = "f", signature: str = "f(x)") -> Definition:
    return Definition("m", name, "function", signature, ("x",), docstring)


def test_a_module_is_read_with_names_signatures_and_parameters() -> None:
    module = parse_module("shapes", SHAPES)
    assert module is not None
    assert module.docstring == "Flat shapes."
    found = {d.name: (d.kind, d.signature, d.parameters) for d in module.definitions}
    assert found == {
        "Circle": ("class", "class Circle", ()),
        "Circle.area": ("method", "Circle.area(self, *, unit='cm')", ("unit",)),
        "Circle.nothing": ("method", "Circle.nothing(self)", ()),
        "draw": ("function", "draw(shape, *shapes, **options) -> None", ("shape", "*shapes", "**options")),
    }


def test_code_without_docstrings_is_still_python() -> None:
    module = parse_module("shapes", SHAPES)
    assert module is not None
    for text in ("Copyright", "Flat", "round", "Return the area", "Do nothing", "Draw shapes"):
        assert text not in module.code
    again = parse_module("shapes", module.code.encode())
    assert again is not None
    assert again.definitions == ()
    assert "def nothing(self):\n        pass" in module.code


@pytest.mark.parametrize("data", [b"def f(:", b"\0", b"# coding: klingon\n", b"\xff\xfe\xff", b"(" * 5_000])
def test_what_is_not_python_is_passed_over(data: bytes) -> None:
    assert parse_module("broken", data) is None


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("Return it, e.g. Tabs. Then stop.", "Return it, e.g. Tabs."),
        ("Use version 3.11 of it. Or newer.", "Use version 3.11 of it."),
        ("No stop\nat all\n\nMore.", "No stop at all"),
        ("", ""),
    ],
)
def test_first_sentence(docstring: str, sentence: str) -> None:
    assert first_sentence(docstring) == sentence


@pytest.mark.parametrize(
    "docstring",
    ["Too short.", "f(x) -> the value of x", ">>> f(1) is not prose", "The following holds:", "a " * 200],
)
def test_docstrings_that_explain_nothing_give_no_rows(docstring: str) -> None:
    split = make_rows([definition(docstring)])
    assert split.train + split.test == ()


def test_equal_docstrings_count_once_whatever_their_case_and_spaces() -> None:
    texts = ["Close the file at once.", "close the  file\nat once", "Close the file at once. And more."]
    split = make_rows([definition(text, name=f"f{i}") for i, text in enumerate(texts)])
    assert {row.about for row in split.train + split.test} == {"m.f0"}


def test_a_name_that_is_defined_twice_counts_once() -> None:
    texts = [f"Return the value of property {i}." for i in range(50)]
    split = make_rows([definition(text) for text in texts], test_share=0.5)
    assert {row.output for row in split.train + split.test} <= {texts[0], "f", "f(x)", "x"}


def test_a_function_keeps_its_side_when_others_come() -> None:
    some = [definition(f"Return the value of number {i}.", f"f{i}", f"f{i}(x)") for i in range(200)]
    few, many = make_rows(some[:50], test_share=0.3), make_rows(some, test_share=0.3)
    assert few.test
    assert set(few.test) <= set(many.test)
    assert set(few.train) <= set(many.train)


def test_rows_of_the_library_do_not_leak(library: Library, corpus: Corpus) -> None:
    train, test = corpus.rows.train, corpus.rows.test
    assert not {row.about for row in train} & {row.about for row in test}
    docstrings = {f"{d.module}.{d.name}": d.docstring for m in library.modules for d in m.definitions}
    keys = {
        side: {sentence_key(docstrings[row.about]) for row in rows} for side, rows in (("train", train), ("test", test))
    }
    assert not keys["train"] & keys["test"]
    assert not {(row.instruction, row.input) for row in train} & {(row.instruction, row.input) for row in test}


def test_documents_do_not_hold_what_the_test_asks(library: Library) -> None:
    # A budget above all there is: every document is chosen.
    corpus = read_corpus(50_000_000, seed=3, library=library)
    pages = " ".join(" ".join(d.text for d in corpus.documents if d.kind == "docstrings").split())
    sentences = [r.output for r in corpus.rows.test if sentence_key(r.output) in corpus.rows.test_keys]
    answers = [sentence for sentence in sentences if len(sentence) > 60]
    # A few sentences are quoted by the docstrings of others (a class tells what its methods do).
    quoted = [answer for answer in answers if answer in pages]
    assert len(answers) > 50
    assert len(quoted) <= 0.02 * len(answers)


def test_rows_are_many_short_and_distinct(corpus: Corpus) -> None:
    rows = corpus.rows.train + corpus.rows.test
    assert len(rows) > 2_000
    assert 0.05 < len(corpus.rows.test) / len(rows) < 0.15
    assert max(row.size_bytes() for row in rows) <= 480
    assert len({(row.instruction, row.input) for row in corpus.rows.train}) == len(corpus.rows.train)
    assert all(row.instruction and row.input and row.output for row in rows)


def test_documents_fill_the_budget_with_the_stated_mix(corpus: Corpus) -> None:
    sizes = {kind: sum(d.size_bytes for d in corpus.documents if d.kind == kind) for kind in stdlib.MIX}
    assert 0.97 * 1_000_000 < sum(sizes.values()) <= 1_000_000
    for kind, share in stdlib.MIX.items():
        assert sizes[kind] == pytest.approx(share * 1_000_000, rel=0.1)
    assert len({d.name for d in corpus.documents}) == len(corpus.documents)


def test_the_same_seed_writes_the_same_bytes(library: Library, tmp_path: Path) -> None:
    def written(folder: str, seed: int) -> dict[str, bytes]:
        write_corpus(tmp_path / folder, 400_000, seed, library=library)
        return {path.name: path.read_bytes() for path in sorted((tmp_path / folder).iterdir())}

    first = written("first", 1)
    assert sorted(first) == ["documents.jsonl", "instructions_test.json", "instructions_train.json"]
    assert first == written("second", 1)
    other = written("third", 2)
    assert all(first[name] != other[name] for name in first)


def test_the_summary_tells_what_is_in_the_files(library: Library, tmp_path: Path) -> None:
    summary = write_corpus(tmp_path, 400_000, library=library)
    lines = Path(summary.documents_path).read_text("utf-8").split("\n")[:-1]
    texts = [json.loads(line)["text"] for line in lines]
    assert len(texts) == summary.documents
    assert sum(len(text.encode()) for text in texts) == summary.bytes == sum(summary.bytes_by_kind.values())
    for path, n_rows in ((summary.train_path, summary.train_rows), (summary.test_path, summary.test_rows)):
        rows = json.loads(Path(path).read_text("utf-8"))
        assert len(rows) == n_rows
        assert set(rows[0]) == {"instruction", "input", "output"}


def test_a_zipped_library_is_read_as_a_folder_is(tmp_path: Path) -> None:
    files = {
        "shapes/__init__.py": SHAPES,
        "test/test_shapes.py": SHAPES,
        "notes.txt": b"no",
        "pydoc_data/topics.py": b"topics = {'for': 'A loop.\\n'}",
    }
    with zipfile.ZipFile(tmp_path / "python.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
            (tmp_path / "Lib" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "Lib" / name).write_bytes(data)
    zipped, folder = read_library([tmp_path / "python.zip"]), read_library([tmp_path / "Lib"])
    assert zipped.modules == folder.modules
    assert [module.name for module in zipped.modules] == ["shapes"]
    assert zipped.topics == folder.topics == {"for": "A loop."}


def test_too_little_text_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "shapes.py").write_bytes(SHAPES)
    with pytest.raises(DataError, match=r"searched .* for Python sources.*read 1 modules") as caught:
        read_corpus(library=read_library([tmp_path, tmp_path / "missing"]))
    assert str(tmp_path / "missing") in str(caught.value)


def test_a_budget_too_small_to_learn_from_is_an_error() -> None:
    with pytest.raises(DataError, match="budget_bytes is 1,000"):
        read_corpus(1_000)
