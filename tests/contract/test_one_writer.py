"""Every file is written by bytemill.files, or there is a reason in here."""

import ast
from pathlib import Path

import bytemill

PACKAGE = Path(bytemill.__file__).parent
WRITERS = {"write_text", "write_bytes", "savefig", "save_file", "save_pretrained", "touch", "tofile", "symlink_to"}
OS_WRITERS = {"replace", "rename", "link", "symlink", "truncate", "open", "mkfifo", "fdopen"}

REASONS = {
    ("data/download.py", "os.fdopen"): "a download goes on at the end of its part",
    ("data/download.py", "open"): "the note of a part's version, created exclusively",
    ("data/download.py", "replace"): "the part gets its name",
    ("system/files.py", "os.open"): "for the others in this list, and for locks",
    ("json_reader.py", "os.fdopen"): "reads",
    ("cli/__init__.py", "os.open"): "the null device takes the place of a closed stdout",
    ("report/drawing.py", "savefig"): "into memory",
    ("data/statistics.py", "savefig"): "into memory",
    ("model/weight_files.py", "save_file"): "into the name that files.write_with gives",
    ("train/run/checkpoint.py", "rename"): "a checkpoint, which is a folder, gets its name",
    ("model/transformers_causal.py", "save_pretrained"): "into a folder of its own, then files.move_into",
}


def writing_calls(tree: ast.AST) -> set[str]:
    """The names of calls that may write a file."""
    own = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "bytemill.files"
        for alias in node.names
    }
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
        if owner == "os":
            found |= {f"os.{name}"} if name in OS_WRITERS else set()
        elif name == "open":
            modes = [*node.args, *(one.value for one in node.keywords if one.arg == "mode")]
            texts = [one.value for one in modes if isinstance(one, ast.Constant) and isinstance(one.value, str)]
            found |= (
                {"open"} if any(set(text) & set("wax+") and set(text) <= set("rwaxbt+") for text in texts) else set()
            )
        elif name in WRITERS and name not in own:
            found.add(name)
        elif name == "rename" or (name == "replace" and len(node.args) == 1 and not node.keywords):
            found.add(name)  # of a path: str.replace has two arguments, dataclasses.replace has keywords
    return found


def test_every_file_is_written_by_the_one_module():
    found = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        if path.name != "files.py" or path.parent != PACKAGE
        for name in writing_calls(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert not found - REASONS.keys(), "write it with bytemill.files"
    assert not {one for one in REASONS.keys() - found if not one[0].startswith("data/")}, "a reason without its call"


def test_the_search_finds_each_way_to_write():
    for line in (
        'open("file", "w")',
        'p.open("ab")',
        'p.open(mode="r+")',
        "p.write_text(t)",
        "os.replace(a, b)",
        "os.open(a, f)",
        "p.replace(q)",
        "p.rename(q)",
        "f.savefig(p)",
        "save_file(t, p)",
    ):
        assert writing_calls(ast.parse(line)), line
    for line in ('open("file")', 'p.open("rb")', 's.replace("a", "b")', "replace(x, words=())", "p.read_text()"):
        assert not writing_calls(ast.parse(line)), line
