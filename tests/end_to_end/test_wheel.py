"""The wheel: what is in it, and that it works by itself in a fresh environment, in a folder with an unusual name.

It is built as `make wheel` builds it, with the compiled core of the last installation: no Rust is compiled again.
"""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bytemill import __version__
from console_blocks import REPOSITORY
from users_packages import link_packages

PACKAGE = REPOSITORY / "python" / "bytemill"
TEXT = "the cat sat on the mat, and 北京 too. " * 40
_NOT_INHERITED = ("PYTHONPATH", "VIRTUAL_ENV", "PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")
"""`make` names pip's constraints by a path from the repository, which another folder has not."""


def run(*command: str | Path, folder: Path) -> str:
    """What a command prints in a folder, with nothing of this environment on Python's path."""
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr[-2_000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--release", "--compatibility", "off", "--interpreter", sys.executable, "--out", str(folder)]
    run(sys.executable, "-m", "maturin", "build", *options, folder=REPOSITORY)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, and with what `bytemill[train]` brings, taken from this one.

    The name of its folder has spaces, quotes and letters that are not ASCII, as the home folders of many users have.
    """
    folder = tmp_path_factory.mktemp("Zoë's 北京 folder")
    run(sys.executable, "-m", "venv", "--without-pip", "environment", folder=folder)
    python = folder / "environment" / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, folder=folder)
    packages = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    linked = folder / "dependencies"
    linked.mkdir()
    link_packages(linked, "train")
    (Path(packages) / "dependencies.pth").write_text(f"{os.path.relpath(linked, packages)}\n")
    return folder


def test_the_wheel_holds_the_package_one_core_and_the_licence(wheel: Path) -> None:
    assert wheel.name.startswith(f"bytemill-{__version__}-cp311-abi3-")
    names = zipfile.ZipFile(wheel).namelist()
    (core,) = [name for name in names if name.endswith((".so", ".pyd", ".dylib"))]
    assert core == "bytemill/_core.abi3.so"
    package = {name for name in names if name.startswith("bytemill/")} - {core}
    sources = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert package == {
        f"bytemill/{path.relative_to(PACKAGE).as_posix()}" for path in sources if not path.name.startswith("_core.abi3")
    }
    assert {"bytemill/_core.pyi", "bytemill/py.typed", "bytemill/report/page.css", "bytemill/report/page.js"} <= package
    others = {name.partition(".dist-info/")[2] for name in names if name not in {*package, core}}
    assert others - {"sboms/bytemill-py.cyclonedx.json"} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/NOTICE",
    }


def test_the_installed_wheel_is_what_is_imported(fresh: Path) -> None:
    names = "bytemill.__version__, bytemill.__file__, core.__file__"
    question = f"import bytemill, bytemill._core as core; print({names}, sep='\\n')"
    version, *places = run(fresh / "environment" / "bin" / "python", "-c", question, folder=fresh).splitlines()
    assert version == __version__
    assert all(place.startswith(str(fresh / "environment")) for place in places)


def test_the_installed_commands_train_encode_decode_and_write_a_page(fresh: Path) -> None:
    bytemill = fresh / "environment" / "bin" / "bytemill"
    (fresh / "text.txt").write_text(TEXT, encoding="utf-8")
    assert run(bytemill, "--version", folder=fresh).strip() == __version__
    run(bytemill, "tokenizer", "train", "text.txt", "--vocab-size", "290", "-o", "tokenizer.json", folder=fresh)
    ids = run(bytemill, "tokenizer", "encode", "-t", "tokenizer.json", "text.txt", folder=fresh)
    assert 40 < len(ids.split()) < len(TEXT)
    (fresh / "ids.txt").write_text(ids)
    assert run(bytemill, "tokenizer", "decode", "-t", "tokenizer.json", "ids.txt", folder=fresh).rstrip("\n") == TEXT
    run(bytemill, "tokenizer", "inspect", "-t", "tokenizer.json", "text.txt", "-o", "page.html", folder=fresh)
    assert "<style>" in (fresh / "page.html").read_text(encoding="utf-8")


def test_the_installed_library_prepares_and_trains(fresh: Path) -> None:
    bytemill = fresh / "environment" / "bin" / "bytemill"
    (fresh / "book.txt").write_text(TEXT * 20, encoding="utf-8")
    run(bytemill, "tokenizer", "train", "book.txt", "--vocab-size", "290", "-o", "book.json", folder=fresh)
    run(bytemill, "data", "prepare", "book.txt", "-t", "book.json", "-o", "shards", folder=fresh)
    settings = "data.path=shards data.seq_len=16 data.batch_size=2 model.n_layer=1 model.n_head=1 model.n_embd=8"
    run(bytemill, "train", "-o", "run", "--set", *settings.split(), "train.max_steps=2", folder=fresh)
    assert (fresh / "run" / "checkpoints" / "step_00000002" / "model.safetensors").is_file()


def test_nothing_else_is_in_this_environment(fresh: Path) -> None:
    question = (
        "import importlib.util as u; print([u.find_spec(x) is not None for x in ('torch', 'tiktoken', 'pytest')])"
    )
    assert run(fresh / "environment" / "bin" / "python", "-c", question, folder=fresh).strip() == "[True, False, False]"


def test_the_check_of_a_release_passes(fresh: Path) -> None:
    python = fresh / "environment" / "bin" / "python"
    assert run(python, REPOSITORY / ".ci" / "smoke.py", folder=fresh).startswith("bytemill works with Python")
