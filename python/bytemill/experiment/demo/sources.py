"""Finds the standard library of the running Python and reads its text without importing it.

Modules are parsed with `ast`. Importing them would run their code, need their C extensions and open windows (`turtle`,
`antigravity`). Reading CPython's about 450 files takes about four seconds on one core.
"""

import ast
import importlib.util
import os
import re
import sys
import sysconfig
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Definition", "Library", "Module", "parse_module", "read_library"]

# Tests, third-party packages, old tools, and tables of bytes.
_SKIPPED_FOLDERS = frozenset(
    {
        "__phello__",
        "__pycache__",
        "config",
        "dist-packages",
        "encodings",
        "ensurepip",
        "idlelib",
        "lib-dynload",
        "lib2to3",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
# Local customization modules, and the Zen of Python in ROT13.
_SKIPPED_MODULES = frozenset({"sitecustomize", "usercustomize", "this"})
_TOPICS_FILE = "pydoc_data/topics.py"
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Definition:
    """A function, method or class that has a docstring."""

    module: str
    """Dotted name of the module, such as `"textwrap"`."""
    name: str
    """Name inside the module, such as `"TextWrapper.wrap"`."""
    kind: str
    """`"function"`, `"method"` or `"class"`."""
    signature: str
    """Signature with annotations, such as `"TextWrapper.wrap(self, text)"`."""
    parameters: tuple[str, ...]
    """Names without `self` and `cls`, with stars; empty for a class."""
    docstring: str
    """Dedented docstring without leading and trailing blank lines."""


@dataclass(frozen=True)
class Module:
    """One source file."""

    name: str
    docstring: str
    """Empty if there is none."""
    definitions: tuple[Definition, ...]
    """Definitions in the order of the file."""
    code: str
    """The source without docstrings and without the comments at its beginning."""


@dataclass(frozen=True)
class Library:
    """The text of the library, in an order that does not depend on the file system."""

    places: tuple[str, ...]
    """Folders and zip files that were searched."""
    modules: tuple[Module, ...]
    topics: dict[str, str] = field(default_factory=dict)
    """Python's language reference by topic, as `help("for")` shows it; empty if it is not installed."""


def read_library(places: Sequence[Path] | None = None) -> Library:
    """Read the standard library of the running Python, or the one under `places`.

    Files that are missing, unreadable or not valid Python are skipped; the caller must check that enough is left.
    """
    looked = tuple(Path(place) for place in places) if places is not None else _standard_places()
    modules: dict[str, Module] = {}
    topics: dict[str, str] = {}
    for place in looked:
        for path, data in _python_files(place):
            if path == _TOPICS_FILE:
                topics = topics or _parse_topics(data)
            elif (name := _module_name(path)) not in modules and (module := parse_module(name, data)):
                modules[name] = module
    in_order = tuple(modules[name] for name in sorted(modules))
    return Library(places=tuple(str(place) for place in looked), modules=in_order, topics=topics)


def parse_module(name: str, data: bytes) -> Module | None:
    r"""Parse one source file; `None` if this Python cannot.

    >>> source = b'def area(r):\n    "The area of a circle."\n    return 3.14 * r * r'
    >>> module = parse_module("shapes", source)
    >>> module.definitions[0].signature, module.definitions[0].docstring
    ('area(r)', 'The area of a circle.')
    >>> print(module.code)
    def area(r):
        return 3.14 * r * r
    """
    try:
        source = importlib.util.decode_source(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files have escapes for which newer Pythons print warnings
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return Module(
        name=name,
        docstring=_docstring(tree),
        definitions=tuple(_definitions(tree, name, prefix="", in_class=False)),
        code=_without_docstrings(source, tree),
    )


def _standard_places() -> tuple[Path, ...]:
    """Return the library's folder, and its zip file if Python is installed as one (`python313.zip`)."""
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    zipped = [Path(entry) for entry in sys.path if Path(entry).name == archive]
    return (Path(sysconfig.get_path("stdlib")), *dict.fromkeys(zipped))


def _python_files(place: Path) -> Iterator[tuple[str, bytes]]:
    """Yield (path with forward slashes below `place`, content), sorted by path."""
    if place.is_dir():
        yield from _files_of_folder(place)
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if _is_wanted(info.filename) and info.file_size <= _MAX_FILE_BYTES:
                    yield info.filename, archive.read(info)


def _files_of_folder(place: Path) -> Iterator[tuple[str, bytes]]:
    paths = []
    for folder, subfolders, files in os.walk(place):
        # Pruned here, because site-packages may contain a hundred thousand files.
        subfolders[:] = [name for name in subfolders if name == "pydoc_data" or not _is_skipped_folder(name)]
        paths += [(Path(folder, file).relative_to(place).as_posix(), Path(folder, file)) for file in files]
    for relative, path in sorted(paths):
        if not _is_wanted(relative):
            continue
        try:
            if path.stat().st_size <= _MAX_FILE_BYTES:
                yield relative, path.read_bytes()
        except OSError:
            continue


def _is_wanted(path: str) -> bool:
    *folders, file = path.split("/")
    if path == _TOPICS_FILE:
        return True
    stem = file.removesuffix(".py")
    if not file.endswith(".py") or stem in _SKIPPED_MODULES or stem.startswith("_sysconfigdata"):
        return False
    return not any(_is_skipped_folder(folder) for folder in folders)


def _is_skipped_folder(name: str) -> bool:
    return name in _SKIPPED_FOLDERS or name.startswith("config-")


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _parse_topics(data: bytes) -> dict[str, str]:
    """Read the literal `topics = {…}` of pydoc_data/topics.py; return an empty dict if the file has another form."""
    try:
        tree = ast.parse(importlib.util.decode_source(data))
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):
                return {str(name): str(text).strip() for name, text in sorted(ast.literal_eval(node.value).items())}
    except (SyntaxError, ValueError):
        pass
    return {}


def _definitions(node: ast.AST, module: str, *, prefix: str, in_class: bool) -> Iterator[Definition]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            if text := _docstring(child):
                yield _function(child, text, module, prefix=prefix, in_class=in_class)
        elif isinstance(child, ast.ClassDef):
            name = prefix + child.name
            if text := _docstring(child):
                bases = f"({', '.join(map(ast.unparse, child.bases))})" if child.bases else ""
                yield Definition(module, name, "class", f"class {name}{bases}", (), text)
            yield from _definitions(child, module, prefix=f"{name}.", in_class=True)
        elif isinstance(child, ast.If | ast.Try | ast.With):
            # Definitions that depend on the platform also belong to the module.
            yield from _definitions(child, module, prefix=prefix, in_class=in_class)


def _function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, text: str, module: str, *, prefix: str, in_class: bool
) -> Definition:
    name = prefix + node.name
    arguments = node.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if in_class and names[:1] in (["self"], ["cls"]):
        names = names[1:]
    names += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    names += [argument.arg for argument in arguments.kwonlyargs]
    names += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    signature = f"{name}({ast.unparse(arguments)}){returns}"
    return Definition(module, name, "method" if in_class else "function", signature, tuple(names), text)


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    # A docstring may contain escaped lone surrogates, which UTF-8 cannot encode.
    return (ast.get_docstring(node) or "").strip().encode("utf-8", "replace").decode()


def _without_docstrings(source: str, tree: ast.Module) -> str:
    """Remove every docstring from the source, and the comments before the first statement.

    Docstrings are separate documents. Removing them here avoids duplicate text, and keeps docstrings of the test set
    out of the training documents.
    """
    data = source.encode()
    starts = [0]
    for line in data.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    # From the last to the first, so that earlier offsets stay valid.
    for begin, end, only in sorted(_docstring_spans(tree, starts), reverse=True):
        data = data[:begin] + (b"pass" if only else b"\0") + data[end:]
    text = data.decode()
    text = re.sub(r"^[ \t]*\0[ \t]*\n", "", text, flags=re.MULTILINE).replace("\0", "...")
    text = re.sub(r"\A(?:[ \t]*(?:#.*)?\n)+", "", text)
    return re.sub(r"\n{4,}", "\n\n\n", text).strip()


def _docstring_spans(tree: ast.Module, starts: list[int]) -> Iterator[tuple[int, int, bool]]:
    """Yield (first byte, byte after the last, whether it is its block's only statement)."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is None:
            continue
        first = node.body[0]
        end_line, end_column = first.end_lineno or first.lineno, first.end_col_offset or 0
        begin = starts[first.lineno - 1] + first.col_offset
        yield begin, starts[end_line - 1] + end_column, len(node.body) == 1
