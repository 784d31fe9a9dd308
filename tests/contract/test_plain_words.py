"""Help texts, settings, errors, docstrings and pages use plain words: none that a reader has to read twice."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

import bytemill
from bytemill.cli import app
from bytemill.train.config import RunConfig
from bytemill.train.settings.documented import documented_toml

ROOT = Path(__file__).parents[2]
PACKAGE = Path(bytemill.__file__).parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("**/*.md")),
    *sorted((ROOT / "examples").glob("**/*.md")),
]

INSTEAD = {
    "told": "says, shows, given",
    "tells": "returns, says, shows",
    "beside": "next to, compared with",
    "behind": "after",
    "parted": "split",
    "dear": "expensive, slower",
    "dearer": "more expensive, slower",
    "mend": "fix",
    "mends": "fixes",
    "mended": "fixed",
    "learnt": "learned, trained on",
    "nor can": "and cannot",
    "so many": "n, up to n, at most",
    "for ever": "always",
    "is no number": "is NaN or infinite",
    "is no longer a number": "is NaN or infinite",
    "stands": "is, is in, appears",
    "stands in": "replaces",
    "stood": "was, was in",
    "as many as": "n, up to n, at most",
    "at once": "immediately, at the same time",
    "at work": "running",
    "be it": "or",
    "meets": "sees",
    "met for the first time": "new, unseen",
    "in silence": "without a message",
    "passed over": "skipped",
    "anew": "again",
    "whatever is": "if, any",
    "house style": "the project's style",
}
# "look-behind" is the name that regular expressions have for it.
HARD = re.compile(rf"(?<!look-)\b({'|'.join(sorted(INSTEAD, key=len, reverse=True))})\b", re.IGNORECASE)
EXAMPLE = re.compile(r"^ *>>> .*?(?=^ *$|\Z)", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"^```\w.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)


def hard_words(text: str) -> list[str]:
    """Return the words of the list in `text`, each with what to write instead."""
    found = (re.sub(r"\s+", " ", match[1].lower()) for match in HARD.finditer(re.sub(r"\s+", " ", text)))
    return [f"{word}: {INSTEAD[word]}" for word in found]


def prose(page: str) -> str:
    """Return the page without code and printed output: its fenced blocks with a language, and code in sentences.

    A block without a language, such as a tree of folders with captions, is prose.
    """
    return CODE.sub("", page)


def help_texts(command: Any, path: str = "bytemill") -> Iterator[tuple[str, str]]:
    """Yield each command and option with its help text."""
    yield path, f"{command.help or ''} {command.epilog or ''}"
    for parameter in command.params:
        yield f"{path} {parameter.opts[0]}", getattr(parameter, "help", None) or ""
    for name, inner in getattr(command, "commands", {}).items():
        yield from help_texts(inner, f"{path} {name}")


def raised_texts(source: str) -> Iterator[tuple[int, str]]:
    """Yield the strings in `raise` statements, each with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.lineno, part.value


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield the docstrings of a module, its classes and functions, and the texts below attributes, each with its line.

    Code in backticks and examples are left out.
    """
    for node in ast.walk(ast.parse(source)):
        for inner in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
                text = inner.value.value
                if isinstance(text, str):
                    yield inner.lineno, prose(EXAMPLE.sub("", text))


@pytest.mark.parametrize("word", INSTEAD)
def test_each_word_is_found(word: str) -> None:
    sentence = f"What this {word.replace(' ', chr(10))} is."
    assert hard_words(sentence) == [f"{word}: {INSTEAD[word]}"]
    assert hard_words(prose(f"# A page\n\n```\nfolder/  {word}\n```\n"))
    assert [hard_words(text) for _, text in raised_texts(f'raise ValueError(f"{{x}} {word} it")')] == [
        [f"{word}: {INSTEAD[word]}"]
    ]


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "examples" / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebooks(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert hard_words(prose(text)) == []


def test_words_of_the_field_and_code_are_left_alone() -> None:
    assert not hard_words("A look-behind of fixed length; besides, it recommends a dearth of storytellers.")
    assert not hard_words(prose("`bytemill told`\n\n```console\n$ bytemill told\n```\n"))


def test_help_texts() -> None:
    texts = dict(help_texts(typer.main.get_command(app)))
    assert len(texts) > 300
    assert {place: words for place, text in texts.items() if (words := hard_words(text))} == {}


def test_descriptions_of_settings() -> None:
    text = documented_toml(RunConfig())
    assert text.count("# ") > 80
    assert hard_words(text) == []


def test_error_messages() -> None:
    found, n_texts = {}, 0
    for file in sorted(PACKAGE.rglob("*.py")):
        for line, text in raised_texts(file.read_text(encoding="utf-8")):
            n_texts += 1
            if words := hard_words(text):
                found[f"{file.relative_to(PACKAGE)}:{line}"] = words
    assert n_texts > 400
    assert found == {}


def test_docstrings() -> None:
    found, n_texts = {}, 0
    for file in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.pyi")]):
        for line, text in docstrings(file.read_text(encoding="utf-8")):
            n_texts += 1
            if words := hard_words(text):
                found[f"{file.relative_to(PACKAGE)}:{line}"] = words
    assert n_texts > 1_500
    assert found == {}


def test_docstrings_without_code_and_examples() -> None:
    source = '''
"""A module that stands."""
class A:
    """A class, dear."""
    x: int
    """A field that is told."""
    def f(self):
        """Do it.

        >>> "told"
        'told'

        Beside it, `told` is code.
        """
'''
    found = [(line, word) for line, text in docstrings(source) for word in hard_words(text)]
    assert sorted(line for line, _ in found) == [2, 4, 6, 8]
    assert [word for line, word in found if line == 8] == ["beside: next to, compared with"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages(page: Path) -> None:
    assert hard_words(prose(page.read_text(encoding="utf-8"))) == []
