"""Makes a small corpus without network access: the text of the running Python's standard library.

There are three kinds of documents for pretraining. Prose comes first, because a small model that trains for minutes
learns more from plain text:

* topics: Python's language reference as `help()` shows it;
* docstrings: one reference page per module;
* sources: code without its docstrings, which are already in the reference pages.

There are also instruction rows made of functions and docstrings (see `questions`). No document contains the answers of
the test rows. The same Python installation and seed always give the same bytes.
"""

import json
import os
import platform
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bytemill.errors import DataError
from bytemill.experiment.demo.questions import RowSplit, make_rows, sentence_key
from bytemill.experiment.demo.sources import Library, Module, read_library
from bytemill.files import write_text

__all__ = ["MIX", "Corpus", "CorpusSummary", "Document", "read_corpus", "write_corpus"]

MIX = {"topics": 0.15, "docstrings": 0.45, "sources": 0.40}
"""Fractions of the budget. A part that a kind cannot fill goes to the kinds after it."""

# With less text, a tokenizer of 4,096 ids and a model cannot be trained.
_MIN_CORPUS_BYTES = 300_000
_MAX_DOCUMENT_BYTES = 8_192
_MIN_DOCUMENT_BYTES = 64


@dataclass(frozen=True)
class Document:
    """One text and its source."""

    name: str
    """Such as `"docstrings/textwrap"`; further pieces of a long text are `"docstrings/textwrap#2"` and so on."""
    text: str

    @property
    def kind(self) -> str:
        """`"topics"`, `"docstrings"` or `"sources"`."""
        return self.name.split("/", 1)[0]

    @property
    def size_bytes(self) -> int:
        """UTF-8 bytes of the text."""
        return len(self.text.encode())


@dataclass(frozen=True)
class Corpus:
    """The documents, in shuffled order, and the rows."""

    documents: tuple[Document, ...]
    rows: RowSplit


@dataclass(frozen=True)
class CorpusSummary:
    """Summary of the files from `write_corpus`."""

    documents: int
    bytes: int
    """UTF-8 bytes of all documents."""
    bytes_by_kind: dict[str, int]
    train_rows: int
    test_rows: int
    python_version: str
    documents_path: str
    train_path: str
    test_path: str


def write_corpus(
    folder: str | os.PathLike[str],
    budget_bytes: int = 4_000_000,
    seed: int = 0,
    *,
    library: Library | None = None,
) -> CorpusSummary:
    """Write documents.jsonl, instructions_train.json and instructions_test.json into `folder`.

    Each line of documents.jsonl is `{"text": …}`; the rows are lists in Alpaca's format. Each file is written to a
    temporary name and then renamed.

    Raises:
        DataError: This Python has too little text of its standard library.
    """
    corpus = read_corpus(budget_bytes, seed, library=library)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("documents.jsonl", "instructions_train.json", "instructions_test.json")]
    write_text(paths[0], "".join(_json({"text": document.text}) + "\n" for document in corpus.documents))
    for path, rows in zip(paths[1:], (corpus.rows.train, corpus.rows.test), strict=True):
        write_text(path, "[\n" + ",\n".join(_json(row.as_alpaca()) for row in rows) + "\n]\n")
    by_kind = {kind: sum(d.size_bytes for d in corpus.documents if d.kind == kind) for kind in MIX}
    return CorpusSummary(
        documents=len(corpus.documents),
        bytes=sum(by_kind.values()),
        bytes_by_kind=by_kind,
        train_rows=len(corpus.rows.train),
        test_rows=len(corpus.rows.test),
        python_version=platform.python_version(),
        documents_path=str(paths[0]),
        train_path=str(paths[1]),
        test_path=str(paths[2]),
    )


def read_corpus(
    budget_bytes: int = 4_000_000, seed: int = 0, *, test_share: float = 0.1, library: Library | None = None
) -> Corpus:
    """Choose documents of at most `budget_bytes` and make all rows.

    Args:
        budget_bytes: Maximum UTF-8 bytes of all documents; if the library has enough text, the choice is smaller by
            less than a document.
        seed: Random seed of the choice, the order and the split of the rows.
        test_share: Fraction of the functions whose rows are in the test set.
        library: A library that is already read; `None` reads that of the running Python.

    Raises:
        DataError: The budget is too small, or this Python has too little text of its standard library.
    """
    if budget_bytes < _MIN_CORPUS_BYTES:
        raise DataError(f"budget_bytes is {budget_bytes:,}; at least {_MIN_CORPUS_BYTES:,} are needed to train on")
    library = read_library() if library is None else library
    definitions = [definition for module in library.modules for definition in module.definitions]
    rows = make_rows(definitions, seed=seed, test_share=test_share)
    chosen: list[Document] = []
    shares = 0.0
    for kind, documents in _documents_by_kind(library, rows.test_keys).items():
        shares += MIX[kind]
        room = int(budget_bytes * shares) - sum(document.size_bytes for document in chosen)
        chosen += _choose(documents, room, random.Random(f"{seed} {kind}"))
    _check_enough(chosen, library)
    random.Random(f"{seed} order").shuffle(chosen)
    return Corpus(documents=tuple(chosen), rows=rows)


def _documents_by_kind(library: Library, test_keys: frozenset[str]) -> dict[str, list[Document]]:
    """Return all documents in the order of MIX; long ones are cut into pieces."""
    topics = {name: text for name, text in library.topics.items() if sentence_key(text) not in test_keys}
    pages = {module.name: _reference_page(module, test_keys) for module in library.modules}
    sources = {module.name: module.code for module in library.modules if _reads_as_code(module.code)}
    texts = {"topics": topics, "docstrings": pages, "sources": sources}
    return {
        kind: [
            Document(f"{kind}/{name}", piece)
            for name, text in texts[kind].items()
            for name, piece in _pieces(name, text)
        ]
        for kind in MIX
    }


def _reference_page(module: Module, test_keys: frozenset[str]) -> str:
    r"""Return the module's docstrings as one page, without those of functions in the test set.

    >>> from bytemill.experiment.demo.sources import parse_module
    >>> source = b'"Flat shapes."\ndef area(r):\n    "Return the area."'
    >>> print(_reference_page(parse_module("shapes", source), frozenset()))
    Module shapes
    <BLANKLINE>
    Flat shapes.
    <BLANKLINE>
    area(r)
    <BLANKLINE>
        Return the area.
    """
    parts = [module.docstring] if sentence_key(module.docstring) not in test_keys else []
    for definition in module.definitions:
        if sentence_key(definition.docstring) not in test_keys:
            indented = re.sub(r"^(?=.)", "    ", definition.docstring, flags=re.MULTILINE)
            parts.append(f"{definition.signature}\n\n{indented}")
    parts = [part for part in parts if part]
    return "\n\n".join([f"Module {module.name}", *parts]) if parts else ""


def _reads_as_code(code: str) -> bool:
    """Return whether a source is code and not a table: over 70 % letters and spaces, and short lines."""
    lines = code.count("\n") + 1
    plain = sum(character.isalpha() or character.isspace() for character in code)
    return bool(code) and plain > 0.7 * len(code) and len(code) < 80 * lines


def _pieces(name: str, text: str) -> Iterable[tuple[str, str]]:
    """Cut a text at blank lines and name the pieces: at most 8 KiB, except that longer paragraphs are not cut."""
    pieces: list[str] = []
    size = _MAX_DOCUMENT_BYTES
    for paragraph in text.split("\n\n"):
        paragraph_bytes = len(paragraph.encode()) + 2
        if size + paragraph_bytes > _MAX_DOCUMENT_BYTES:
            pieces.append(paragraph)
            size = paragraph_bytes
        else:
            pieces[-1] += "\n\n" + paragraph
            size += paragraph_bytes
    for number, piece in enumerate(pieces, start=1):
        clean = piece.strip("\n")
        if len(clean.encode()) >= _MIN_DOCUMENT_BYTES:
            yield (f"{name}#{number}" if number > 1 else name), clean


def _choose(documents: list[Document], room_bytes: int, generator: random.Random) -> list[Document]:
    """Choose documents in shuffled order until `room_bytes` is full; skip those that are larger than the rest."""
    shuffled = generator.sample(documents, len(documents))
    chosen = []
    for document in shuffled:
        if document.size_bytes <= room_bytes:
            chosen.append(document)
            room_bytes -= document.size_bytes
    return chosen


def _check_enough(chosen: list[Document], library: Library) -> None:
    found = sum(document.size_bytes for document in chosen)
    if found < _MIN_CORPUS_BYTES:
        places = ", ".join(library.places) or "no folder"
        raise DataError(
            f"the standard library has only {found:,} bytes of text, but {_MIN_CORPUS_BYTES:,} are needed: "
            f"searched {places} for Python sources (*.py) and pydoc_data/topics.py, and read "
            f"{len(library.modules)} modules; use a Python with its sources, or train on your own text "
            "with `bytemill data prepare`"
        )


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, ensure_ascii=False)
