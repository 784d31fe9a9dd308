"""The examples in the hand-written stub of the Rust core run, as those of other modules do."""

from __future__ import annotations

import ast
import doctest
from pathlib import Path

import pytest

import bytemill

STUB = Path(bytemill.__file__).with_name("_core.pyi")
DOCUMENTED = [
    (f"{getattr(node, 'name', 'module')}:{getattr(node, 'lineno', 0)}", documentation)
    for node in ast.walk(ast.parse(STUB.read_text(encoding="utf-8")))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    and (documentation := ast.get_docstring(node)) is not None
    and ">>>" in documentation
]


@pytest.mark.parametrize(("name", "documentation"), DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_the_examples_of_the_stub_run(name: str, documentation: str) -> None:
    test = doctest.DocTestParser().get_doctest(documentation, {}, name, str(STUB), 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_there_are_examples() -> None:
    assert len(DOCUMENTED) >= 9
