"""Imports inside the Rust core run one way, by layer and without circles; one module names operating systems."""

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

RUST = Path(__file__).parents[2] / "rust"
CORE = RUST / "bytemill/src"

# A module may use those of the lines above its own. docs/architecture.md says the same in words.
LAYERS = [
    {"platform"},
    {"error", "hints", "byte_alphabet"},
    {"interrupt", "regular_file", "durable"},
    {"utf8"},
    {"vocab", "split", "corpus"},
    {"formats", "decode", "train", "shard"},
    {"encode"},
    {"tokenizer"},
    {"prepare", "token_file"},
]

# The same inside modules that have folders.
INSIDE = {
    "shard": [{"files"}, {"format"}, {"foreign"}, {"read"}, {"write", "load"}],
    "train": [{"options", "progress"}, {"base", "count"}, {"merge"}],
}


def without_tests(text: str) -> str:
    """The source without comments and what only tests compile."""
    text = re.sub(r"//.*", "", text)
    block = r"^([ \t]*)#\[cfg\(test\)\]\n(?:[ \t]*#\[[^\n]*\n|[ \t]+reason[^\n]*\n|\)\]\n)*[^\n]*\{\n.*?^\1\}\n?"
    text = re.sub(block, "", text, flags=re.S | re.M)
    return re.sub(r"^[ \t]*#\[cfg\(test\)\]\n[^\n]*;\n", "", text, flags=re.M)


def use_paths(tree: str) -> Iterator[str]:
    """The paths of a use tree: `a::{b, c::d}` gives `a::b` and `a::c::d`."""
    tree = tree.strip()
    nested = re.fullmatch(r"(.*?)\{(.*)\}", tree, re.S)
    if not nested:
        yield tree.split(" as ")[0]
        return
    prefix, rest = nested.groups()
    depth, part = 0, ""
    for character in rest + ",":
        depth += (character == "{") - (character == "}")
        if character == "," and depth == 0:
            yield from (prefix + path for path in use_paths(part) if part.strip())
            part = ""
        else:
            part += character


def modules(root: Path) -> dict[tuple[str, ...], str]:
    """The text of each module by its path in the crate, tests left out."""
    found = {}
    for file in sorted(root.rglob("*.rs")):
        path = file.relative_to(root).with_suffix("").parts
        path = path[:-1] if path[-1] in ("mod", "lib") else path
        if path and not any(name.endswith("tests") or name in ("oracle", "naive") for name in path):
            found[path] = without_tests(file.read_text(encoding="utf-8"))
    return found


def arrows(root: Path) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """For each module those that it uses; a re-export counts as a use of the file that it names."""
    sources = modules(root)
    graph: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for module, text in sources.items():
        text = re.sub(r"pub\(in [^)]*\)", "pub", text)
        paths = [path for tree in re.findall(r"\buse\s+([^;]+);", text) for path in use_paths(" ".join(tree.split()))]
        paths += re.findall(r"\b(?:crate|super)(?:::\w+)+", re.sub(r"\buse\s+[^;]+;", "", text))
        used = graph.setdefault(module, set())
        for path in paths:
            names = path.replace(" ", "").split("::")
            base: tuple[str, ...] = module
            if names[0] == "crate":
                base, names = (), names[1:]
            elif names[0] in ("self", "super"):
                base = module if names.pop(0) == "self" else module[:-1]
                while names and names[0] == "super":
                    base, names = base[:-1], names[1:]
            target = base + tuple(names)
            while target and target not in sources:
                target = target[:-1]
            if target and target != module and (base != module or target[: len(module)] == module):
                used.add(target)
    return graph


def test_no_files_import_each_other() -> None:
    try:
        TopologicalSorter(arrows(CORE)).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join("::".join(module) for module in error.args[1]))


def upward(layers: list[set[str]], inside: tuple[str, ...] = ()) -> set[tuple[str, str]]:
    """The arrows between parts of a module that do not lead to a lower layer."""
    level = {name: number for number, names in enumerate(layers) for name in names}
    depth = len(inside)
    graph = {module: used for module, used in arrows(CORE).items() if module[:depth] == inside and module != inside}
    assert {module[depth] for module in graph} == set(level)
    return {
        ("::".join(module), "::".join(target))
        for module, used in graph.items()
        for target in used
        if target[:depth] == inside and len(target) > depth and module[depth] != target[depth]
        if level[target[depth]] >= level[module[depth]]
    }


def test_modules_use_only_those_below_them() -> None:
    assert not upward(LAYERS)


@pytest.mark.parametrize("module", INSIDE)
def test_folders_use_only_those_below_them(module: str) -> None:
    assert not upward(INSIDE[module], (module,))


NAMES_OF_SYSTEMS = re.compile(
    r"\bstd::os::|\b(?:libc|windows_sys|rustix|nix)::|/proc\b|/dev/"
    r"|\bcfg(?:_attr)?!?\((?!windows, ignore = \"|target_arch).*\b(?:unix|windows|target_os|target_family|target_env)\b"
)


def systems_named(source: str) -> list[str]:
    """The lines of code that name an operating system; a test may say why Windows cannot run it."""
    return [line.strip() for line in re.sub(r"//.*", "", source).splitlines() if NAMES_OF_SYSTEMS.search(line)]


def test_only_the_platform_names_operating_systems() -> None:
    named = {
        str(file.relative_to(RUST)): lines
        for file in sorted(RUST.rglob("*.rs"))
        if "platform" not in file.relative_to(RUST).parts
        if (lines := systems_named(file.read_text(encoding="utf-8")))
    }
    assert named == {}


def test_names_of_operating_systems_are_found() -> None:
    platform = "".join(file.read_text(encoding="utf-8") for file in (CORE / "platform").glob("*.rs"))
    assert len(systems_named(platform)) > 10
    for line in (
        "use std::os::unix::fs::FileExt;",
        "libc::malloc_trim(0)",
        '#[cfg(target_os = "linux")]',
        "#[cfg(all(test, unix))]",
        "if cfg!(windows) {",
        'fs::read_dir("/proc/self/fd")',
    ):
        assert systems_named(line) == [line]
    for line in (
        '#[cfg_attr(windows, ignore = "no links")]',
        '#[cfg(target_arch = "x86_64")]',
        "// std::os::unix",
        "cfg!(test)",
    ):
        assert systems_named(line) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    (tmp_path / "lib.rs").write_text("mod a;\nmod b;\n")
    (tmp_path / "a.rs").write_text("use crate::b::{self, One};\n")
    (tmp_path / "b.rs").write_text("fn f() -> super::a::Two {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n}\n")
    assert arrows(tmp_path) == {("a",): {("b",)}, ("b",): {("a",)}}
    with pytest.raises(CycleError):
        TopologicalSorter(arrows(tmp_path)).prepare()


def test_what_only_tests_use_is_no_arrow(tmp_path: Path) -> None:
    (tmp_path / "a.rs").write_text("#[cfg(test)]\nmod tests {\n    use crate::b::One;\n}\n")
    (tmp_path / "b.rs").write_text("use crate::a::Two; // use crate::c;\n")
    assert arrows(tmp_path) == {("a",): set(), ("b",): {("a",)}}
