"""The target without a loss is defined once, in bytemill.targets."""

import re
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "python" / "bytemill"


def test_minus_100_has_one_name() -> None:
    named = re.compile(r"^\s*\w+(: \w+)? = -100$", flags=re.MULTILINE)
    found = [path for path in SOURCES.rglob("*.py") if named.search(path.read_text(encoding="utf-8"))]
    assert found == [SOURCES / "targets.py"]
