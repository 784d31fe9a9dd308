"""Importing bytemill and asking for help is light: neither brings torch."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "matplotlib", "tensorboard")


def test_the_model_comes_without_the_compiler():
    """torch._inductor takes as long to import as torch itself."""
    probe = "import sys, bytemill.model; print('torch._inductor' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


@pytest.mark.parametrize(
    "module", ["bytemill", "bytemill.cli", "bytemill.data", "bytemill.errors", "bytemill.train.config"]
)
def test_import_brings_nothing_heavy(module: str) -> None:
    probe = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
