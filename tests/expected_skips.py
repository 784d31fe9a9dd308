"""Compares the skipped tests of a run with a list of expected skips, so that no test is skipped unnoticed.

A line of the list is `TEST | REASON`: pytest's name of the test, and the reason of the skip; `*` matches anything.
Lines that begin with `#` are comments.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ExpectedSkips", "read_list"]


def read_list(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (test, reason) of each line.

    Raises:
        ValueError: A line is not `TEST | REASON`.
    """
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            test, bar, reason = line.partition(" | ")
            if not bar or not reason.strip():
                raise ValueError(f"{path}, line {number}: expected TEST | REASON, found {line!r}")
            yield test.strip(), reason.strip()


class ExpectedSkips:
    """A pytest plugin that fails the run if a skip is not in the list."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.expected = [(_literal(test), _literal(reason)) for test, reason in read_list(path)]
        self.unexpected: set[str] = set()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Check the report of a test."""
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Check the report of a test file."""
        self._look_at(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a passed run if there were unexpected skips."""
        if self.unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the unexpected skips."""
        if self.unexpected:
            terminalreporter.section(f"skipped, and not in {self.path}", red=True)
            terminalreporter.write("".join(f"{line}\n" for line in sorted(self.unexpected)))

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            reason = report.longrepr[2].removeprefix("Skipped: ")
            if not any(fnmatchcase(report.nodeid, test) and fnmatchcase(reason, why) for test, why in self.expected):
                self.unexpected.add(f"{report.nodeid} | {reason}")


def _literal(pattern: str) -> str:
    """Return the pattern for fnmatch with brackets and question marks escaped, because names of tests contain them."""
    return pattern.replace("[", "[[]").replace("?", "[?]")
