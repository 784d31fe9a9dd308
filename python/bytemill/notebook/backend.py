"""Imports matplotlib where a notebook has chosen a backend that this Python does not have."""

import importlib
import os
from importlib.util import find_spec
from typing import Any

__all__ = ["imported_matplotlib"]

_MODULE = "module://"


def imported_matplotlib() -> Any:
    """Import and return matplotlib.

    ipykernel sets MPLBACKEND for every program that a notebook starts, also for those of another environment. There,
    `import matplotlib` fails with a ValueError, so it is imported without the variable. bytemill draws to files only
    and needs no backend. A backend that exists stays.
    """
    backend = os.environ.get("MPLBACKEND", "")
    if not backend.startswith(_MODULE) or find_spec(backend.removeprefix(_MODULE).partition(".")[0]) is not None:
        return importlib.import_module("matplotlib")
    del os.environ["MPLBACKEND"]
    try:
        return importlib.import_module("matplotlib")
    finally:
        os.environ["MPLBACKEND"] = backend
