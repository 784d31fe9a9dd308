"""Count lines and unsafe blocks of the Rust core per folder, without tests, as a Markdown table.

    python benches/core_size.py

Blank lines and comment lines do not count, except in the column with documentation. Tests are files with names of tests
and everything after `#[cfg(test)]` at the end of a file.
"""

import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1] / "rust"
TOKENIZING = ("split", "vocab", "encode", "decode", "formats", "tokenizer", "token_file", "error", "lib")


class Size(NamedTuple):
    lines: int
    with_documentation: int
    unsafe_blocks: int

    def __add__(self, other: "Size") -> "Size":  # type: ignore[override]
        return Size(*map(sum, zip(self, other, strict=True)))


def size(path: Path) -> Size:
    """Return the size of one file."""
    source = path.read_text(encoding="utf-8")
    source = re.split(r"^#\[cfg\(test\)\]\n(?:#\[.*\n)*mod \w+ \{", source, maxsplit=1, flags=re.MULTILINE)[0]
    lines = source.splitlines()
    code = [line for line in lines if line.strip() and not line.strip().startswith("//")]
    unsafe = sum(len(re.findall(r"\bunsafe\s+(?:\{|fn|impl|extern)", line)) for line in code)
    return Size(len(code), len(lines), unsafe)


def is_test(path: Path) -> bool:
    return "tests" in path.parts or path.stem in ("tests", "naive") or path.stem.endswith("_tests")


def main() -> None:
    crate = ROOT / "bytemill" / "src"
    sizes: dict[str, Size] = defaultdict(lambda: Size(0, 0, 0))
    for path in sorted(crate.rglob("*.rs")):
        if not is_test(path.relative_to(crate)):
            part = path.relative_to(crate).parts[0].removesuffix(".rs")
            sizes[part] += size(path)
            sizes["**the tokenizer**" if part in TOKENIZING else "the rest"] += size(path)
            sizes["**the core**"] += size(path)
    print("| | lines | with documentation | unsafe blocks and functions |\n|---|---:|---:|---:|")
    for part, one in sorted(sizes.items(), key=lambda entry: (-entry[1].lines, entry[0])):
        print(f"| {part} | {one.lines:,} | {one.with_documentation:,} | {one.unsafe_blocks} |")


if __name__ == "__main__":
    main()
