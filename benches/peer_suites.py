"""Run the test suites of tiktoken, minbpe, nanochat and Hugging Face's tokenizers against bytemill.

    python benches/peer_suites.py FOLDER --vocabularies FOLDER [--suite tiktoken]

FOLDER contains checkouts named tiktoken, minbpe, nanochat and tokenizers. Their tests are copied to a temporary folder
and run there; instead of the peer they import a module of benches/peers. Prints a table of counts, and each test that
did not pass with its error.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

ADAPTERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Suite:
    """The test files of a checkout, and the files they need."""

    tests: str
    copied: tuple[str, ...]
    adapters: tuple[str, ...]
    options: tuple[str, ...] = ()
    folder: str = "."
    """Folder of the checkout in which pytest runs."""


SUITES = {
    "tiktoken": Suite("tests", ("tests",), ("tiktoken.py",)),
    "minbpe": Suite("tests", ("tests",), ("minbpe.py",)),
    "nanochat": Suite("tests/test_tokenizer.py", ("tests", "nanochat"), ("tiktoken.py", "rustbpe.py")),
    "tokenizers": Suite(
        "tests",
        ("tests",),
        ("tokenizers_by_bytemill.py",),
        (
            "-p",
            "tokenizers_by_bytemill",
            "--ignore=tests/test_benchmarks.py",
            "-m",
            "not network",
            "-o",
            "markers=network",
        ),
        "bindings/python",
    ),
}


def run(name: str, checkouts: Path, vocabularies: Path) -> list[tuple[str, str]]:
    """Return (test, reason why it did not pass or "") of each test that called bytemill."""
    suite = SUITES[name]
    with tempfile.TemporaryDirectory() as made:
        folder, adapters = Path(made) / "python", Path(made) / "adapters"
        adapters.mkdir()
        for part in suite.copied:
            shutil.copytree(checkouts / name / suite.folder / part, folder / part)
        for adapter in suite.adapters:
            shutil.copy(ADAPTERS / adapter, adapters)
        paths = [str(adapters), os.environ.get("PYTHONPATH", "")]
        environment = {"PYTHONPATH": os.pathsep.join(paths), "BYTEMILL_VOCABULARIES": str(vocabularies.resolve())}
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", *suite.options, "--junitxml=report.xml", suite.tests],
            cwd=folder,
            env=os.environ | environment,
            stdout=sys.stderr,
            check=False,
        )
        cases = ET.parse(folder / "report.xml").iter("testcase")
        return [outcome(case) for case in cases if case.find(".//property[@name='asked'][@value='0']") is None]


def outcome(case: ET.Element) -> tuple[str, str]:
    """Return a test's name, and the reason why it did not pass, or ""."""
    whole_name = f"{case.get('classname')}::{case.get('name')}"
    for kind in ("failure", "error", "skipped"):
        found = case.find(kind)
        if found is not None:
            return whole_name, f"{kind}: {found.get('message', '').strip().splitlines()[0]}"
    return whole_name, ""


def main() -> None:
    """Run the suites and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", type=Path)
    parser.add_argument("--vocabularies", type=Path, required=True, help="folder with r50k_base.tiktoken and others")
    parser.add_argument("--suite", choices=SUITES, action="append")
    arguments = parser.parse_args()
    failures = []
    print("| suite | passed | of |\n|---|---:|---:|")
    for name in arguments.suite or SUITES:
        outcomes = run(name, arguments.checkouts, arguments.vocabularies)
        passed = sum(not why for _, why in outcomes)
        print(f"| {name} | {passed} | {len(outcomes)} |", flush=True)
        failures += [f"* {name}, {test}: {why}" for test, why in outcomes if why]
    print("\n".join(["", *failures]))


if __name__ == "__main__":
    main()
