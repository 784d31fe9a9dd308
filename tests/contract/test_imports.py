"""Imports: they are light until a model is needed, and no two modules import each other."""

import ast
import subprocess
import sys
from collections.abc import Collection, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bytemill

HEAVY = ("torch", "transformers", "matplotlib", "tensorboard")


def test_the_model_comes_without_the_compiler():
    """torch._inductor takes as long to import as torch itself."""
    probe = "import sys, bytemill.model; print('torch._inductor' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(
    "module", ["bytemill", "bytemill.cli", "bytemill.data", "bytemill.errors", "bytemill.train.config"]
)
def test_import_brings_nothing_heavy(module: str) -> None:
    probe = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_no_modules_import_each_other() -> None:
    """Also not inside functions; only what type checkers alone read may point upwards."""
    assert circle(arrows(Path(bytemill.__file__).parent)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f():\n    from bytemill.b import g\n")
    (tmp_path / "b.py").write_text(
        "from typing import TYPE_CHECKING\nimport bytemill.a\nif TYPE_CHECKING:\n    import bytemill.c\n"
    )
    (tmp_path / "c.py").write_text("from bytemill import b\n")
    found = arrows(tmp_path)
    assert found == {"bytemill.a": {"bytemill.b"}, "bytemill.b": {"bytemill.a"}, "bytemill.c": {"bytemill.b"}}
    assert set(circle(found)) == {"bytemill.a", "bytemill.b"}


def test_imports_for_type_checkers_are_no_circle(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "import typing\nif typing.TYPE_CHECKING:\n    import bytemill.b\nelse:\n    import bytemill.c\n"
    )
    (tmp_path / "b.py").write_text("import bytemill.a\n")
    (tmp_path / "c.py").write_text("from bytemill._core import split\n")
    found = arrows(tmp_path)
    assert found == {"bytemill.a": {"bytemill.c"}, "bytemill.b": {"bytemill.a"}, "bytemill.c": set()}
    assert circle(found) == []


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Return modules that import each other in a circle, the first one again at the end; empty if there are none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def arrows(package: Path) -> dict[str, set[str]]:
    """For each module of the package those that it imports when it runs."""
    trees = {}
    for file in package.rglob("*.py"):
        parts = ("bytemill", *file.relative_to(package).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(file.read_text(encoding="utf-8"))
    return {
        name: {found for one in imported(tree) if (found := nearest(one, trees)) not in ("", name)}
        for name, tree in trees.items()
    }


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names that a module imports, without those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from imported(ast.Module(node.orelse, []))
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node)


def nearest(name: str, modules: Collection[str]) -> str:
    """The module of this package that a full name is of; nothing for others and for the Rust core."""
    if name.startswith("bytemill._core"):
        return ""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name
