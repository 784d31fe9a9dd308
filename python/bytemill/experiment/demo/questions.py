"""Makes instruction rows from functions and their docstrings, split into training and test rows without leaks.

Each function gives two rows: one asks what the function does, and one asks for its name, its parameters or its
signature. Functions with the same first sentence count as one function, because a library repeats docstrings: `close`
is documented dozens of times. All rows of a function are in the training set, or all are in the test set.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from bytemill.experiment.demo.sources import Definition

__all__ = ["Row", "RowSplit", "first_sentence", "make_rows", "sentence_key"]

_MIN_WORDS = 4
_MAX_SENTENCE_BYTES = 240
_MAX_SIGNATURE_BYTES = 160

# The output is the first sentence of the docstring.
_EXPLAIN = (
    "What does the Python {kind} `{module}.{name}` do?",
    "Write the first sentence of this Python {kind}'s docstring.",
    "Explain this {kind} of the module `{module}` in one sentence.",
    "Describe `{name}` briefly.",
)
_NAME = "Which {kind} of the module `{module}` is described here?"
_SIGNATURE = "Write the signature of the Python {kind} that has this docstring."
_PARAMETERS = "List the parameters of this Python {kind}."


@dataclass(frozen=True)
class Row:
    """One example in Alpaca's format, and the function that it is about."""

    about: str
    """Name of the function, such as `"textwrap.dedent"`."""
    instruction: str
    input: str
    output: str

    def as_alpaca(self) -> dict[str, str]:
        """Return the three fields of instruction files."""
        return {"instruction": self.instruction, "input": self.input, "output": self.output}

    def size_bytes(self) -> int:
        """Return the UTF-8 bytes of the three fields together."""
        return len((self.instruction + self.input + self.output).encode())


@dataclass(frozen=True)
class RowSplit:
    """Training rows and test rows; no function is in both."""

    train: tuple[Row, ...]
    test: tuple[Row, ...]
    test_keys: frozenset[str]
    """`sentence_key` of each function of the test; no training text may contain these docstrings."""


def make_rows(
    definitions: Iterable[Definition], *, seed: int = 0, test_share: float = 0.1, max_row_bytes: int = 480
) -> RowSplit:
    """Turn definitions into rows and split them.

    The split depends only on a function's first sentence and the seed, so adding or removing functions does not change
    it for the others.

    Args:
        definitions: Functions, methods and classes with docstrings, in a fixed order.
        seed: Random seed of the split, the wordings and the order.
        test_share: Fraction of the functions in the test set, 0 to 1.
        max_row_bytes: Maximum size of a row; longer rows are left out. With the 215 bytes of Alpaca's prompt, a row of
            480 bytes has about 200 tokens at 3.5 bytes per token.
    """
    chosen: dict[str, tuple[Definition, str]] = {}
    # A name may be defined twice: a property's getter and setter, or one function per platform.
    by_name = {(definition.module, definition.name): definition for definition in reversed([*definitions])}
    for definition in reversed(by_name.values()):
        if sentence := _usable_sentence(definition):
            chosen.setdefault(sentence_key(sentence), (definition, sentence))
    test_keys = frozenset(key for key in chosen if _fraction(seed, "side", key) < test_share)
    train: list[tuple[float, Row]] = []
    test: list[tuple[float, Row]] = []
    for key, (definition, sentence) in chosen.items():
        for row in _rows_of(definition, sentence, seed=seed):
            if row.size_bytes() <= max_row_bytes:
                place = _fraction(seed, "order", row.instruction + row.input)
                (test if key in test_keys else train).append((place, row))
    # Two modules may each have a class of the same name; the same question must not be in training and test.
    asked = {(row.instruction, row.input) for _, row in test}
    train = [(place, row) for place, row in train if (row.instruction, row.input) not in asked]
    return RowSplit(train=_in_order(train), test=_in_order(test), test_keys=test_keys)


def first_sentence(docstring: str) -> str:
    r"""Return the first sentence of a docstring's first paragraph, on one line.

    >>> first_sentence("Remove margins, e.g. tabs.\n\nMore.")
    'Remove margins, e.g. tabs.'
    >>> first_sentence("Wrap a paragraph. The lines\nare short.")
    'Wrap a paragraph.'
    """
    paragraph = re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0]
    line = " ".join(paragraph.split())
    # A sentence ends at a stop before a capital letter, unless the stop belongs to an abbreviation.
    for stop in re.finditer(r"[.!?](?= +[A-Z`'\"(])", line):
        if not re.search(r"\b(?:e\.g|i\.e|etc|cf|vs|[A-Z])\.$", line[: stop.end()]):
            return line[: stop.end()]
    return line


def sentence_key(text: str) -> str:
    """Return a docstring's first sentence without case, punctuation and extra spaces, to compare docstrings.

    >>> sentence_key("Close  the file.") == sentence_key("close the file")
    True
    """
    return re.sub(r"[\W_]+", " ", first_sentence(text)).strip().casefold()


def _usable_sentence(definition: Definition) -> str | None:
    """Return the first sentence with a full stop, if it is informative prose; else `None`."""
    sentence = first_sentence(definition.docstring)
    if len(sentence.split()) < _MIN_WORDS or len(sentence.encode()) > _MAX_SENTENCE_BYTES:
        return None
    if len(definition.signature.encode()) > _MAX_SIGNATURE_BYTES:
        return None
    # Not prose: a signature as in C modules, a doctest, a field list, a note for developers.
    starts_as_prose = re.match(r"[A-Za-z`'\"]", sentence) and not re.match(r"[\w.]+\(", sentence)
    if not starts_as_prose or re.search(r"->|>>>|:param|XXX|TODO|FIXME", sentence):
        return None
    if sentence.endswith(":"):
        return None
    return sentence if sentence[-1] in ".!?" else f"{sentence}."


def _rows_of(definition: Definition, sentence: str, *, seed: int) -> tuple[Row, Row]:
    about = f"{definition.module}.{definition.name}"
    words = {"kind": definition.kind, "module": definition.module, "name": definition.name}
    wording = _EXPLAIN[int(_fraction(seed, "wording", about) * len(_EXPLAIN))]
    explain = Row(about, wording.format(**words), definition.signature, sentence)
    others = [
        Row(about, _NAME.format(**words), sentence, definition.name),
        Row(about, _SIGNATURE.format(**words), sentence, definition.signature),
    ]
    if definition.parameters:
        listed = ", ".join(definition.parameters)
        others.append(Row(about, _PARAMETERS.format(**words), definition.signature, listed))
    return explain, others[int(_fraction(seed, "task", about) * len(others))]


def _in_order(placed: list[tuple[float, Row]]) -> tuple[Row, ...]:
    """Return the rows in shuffled order; each pair of instruction and input occurs once."""
    unique = {(row.instruction, row.input): row for _, row in sorted(placed, key=lambda pair: pair[0])}
    return tuple(unique.values())


def _fraction(seed: int, purpose: str, text: str) -> float:
    """Return a number in [0, 1) that depends only on the arguments."""
    digest = hashlib.sha256(f"{seed}\n{purpose}\n{text}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)
