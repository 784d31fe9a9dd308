"""What a user's environment holds: bytemill, its dependencies and those of some extras. Other packages are hidden."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

if TYPE_CHECKING:
    import pytest

RUNNING_TESTS = ("pytest", "pytest-xdist", "hypothesis")
"""What the tests themselves import while they run."""


def installed_with(*requirements: str) -> set[str]:
    """Return the installed distributions that these requirements bring, for example `bytemill[train]`."""
    found: set[str] = set()
    waiting = [(Requirement(line).name, frozenset(Requirement(line).extras)) for line in requirements]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # a requirement of another platform
            continue
        found.add(_normal(distribution.name))
        for line in distribution.requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in ["", *extras]):
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


@cache
def hidden_names(*extras: str) -> set[str]:
    """Return the import names of all packages that `bytemill[extras]` does not bring."""
    kept = installed_with(f"bytemill[{','.join(extras)}]", *RUNNING_TESTS)
    packages = metadata.packages_distributions()
    return {name for name, owners in packages.items() if not {_normal(owner) for owner in owners} & kept}


def link_packages(folder: Path, *extras: str) -> None:
    """Fill a folder with links to what `bytemill[extras]` brings, without bytemill itself."""
    site_packages = Path(sysconfig.get_path("purelib"))
    brought = installed_with(f"bytemill[{','.join(extras)}]") - {"bytemill"}
    for distribution in metadata.distributions():
        if _normal(distribution.name) in brought:
            for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
                if (site_packages / name).exists() and not (folder / name).exists():
                    (folder / name).symlink_to(site_packages / name)


def hide_others(monkeypatch: pytest.MonkeyPatch, *extras: str) -> None:
    """Make every import of a package fail that `bytemill[extras]` does not bring, until the test ends."""
    hidden = hidden_names(*extras)
    loaded = [name for name in sys.modules if name.partition(".")[0] in hidden]
    for name in {*hidden, *loaded}:
        monkeypatch.setitem(sys.modules, name, None)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
