"""The list of skips: a skip that is not in it fails the run, and each line of it names a test that exists."""

import os
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from expected_skips import read_list

TESTS = Path(__file__).parents[1]
LISTED = list(read_list(TESTS / "expected_skips.txt"))
CONFTEST = """
from pathlib import Path
from expected_skips import ExpectedSkips
def pytest_configure(config):
    config.pluginmanager.register(ExpectedSkips(Path("skips.txt")))
"""
SKIPPING = """
import pytest
@pytest.mark.parametrize("n", [1, 2])
def test_one(n):
    if n == 2:
        pytest.skip("no 2 here (yet?)")
@pytest.mark.xfail
def test_two():
    assert False
"""
WHOLE_FILE = "import pytest\nnothing = pytest.importorskip('nothing_of_this_name', reason='nothing is installed')\n"


def run(folder: Path, *lists: str, workers: int) -> tuple[int, str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_skipping.py").write_text(SKIPPING)
    (folder / "test_whole_file.py").write_text(WHOLE_FILE)
    (folder / "pytest.ini").write_text("[pytest]\n")
    (folder / "skips.txt").write_text("\n".join(["# a comment", "", *lists]))
    places = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "xdist", "-n", str(workers), "-p", "no:cacheprovider"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": places, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_skips_in_the_list_pass(tmp_path: Path) -> None:
    lines = ["test_skipping.py::test_one[2] | no 2 here (yet?)", "test_whole_file.py | * is installed"]
    code, printed = run(tmp_path, *lines, workers=0)
    assert code == 0
    assert "2 skipped, 1 xfailed" in printed


@pytest.mark.parametrize("workers", [0, 2])
def test_skips_of_other_tests_and_for_other_reasons_fail_and_are_named(tmp_path: Path, workers: int) -> None:
    lines = ["test_skipping.py::test_one[1] | no 2 here (yet?)", "test_whole_file.py | something is installed"]
    code, printed = run(tmp_path, *lines, workers=workers)
    assert code == 1
    listed = printed.partition("skipped, and not in skips.txt")[2].splitlines()
    assert [line for line in listed if " | " in line] == [
        "test_skipping.py::test_one[2] | no 2 here (yet?)",
        "test_whole_file.py | nothing is installed",
    ]


def test_a_line_without_a_reason_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("# fine\ntests/test_x.py::test_x\n")
    with pytest.raises(ValueError, match=r"list, line 2: expected TEST \| REASON, found 'tests/test_x\.py::test_x'"):
        list(read_list(tmp_path / "list"))


@pytest.mark.parametrize("test", sorted({test for test, _ in LISTED}))
def test_each_line_names_a_test_that_exists(test: str) -> None:
    path, _, name = test.partition("::")
    files = [file for file in TESTS.rglob("test_*.py") if fnmatchcase(f"tests/{file.relative_to(TESTS)}", path)]
    assert files
    function = name.rpartition("::")[2].partition("[")[0].rstrip("*")
    assert not function or any(f"def {function}(" in file.read_text(encoding="utf-8") for file in files)
