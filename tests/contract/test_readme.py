"""What the README shows is what happens: its Python and its commands run as they stand there."""

import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from bytemill.cli import main
from bytemill.data.hub_listing import files_of
from bytemill.data.sources import SOURCES

README = Path(__file__).parents[2] / "README.md"
PACKAGE = Path(__file__).parents[2] / "python" / "bytemill"
pytestmark = pytest.mark.usefixtures("users_packages")

FEW_STEPS = ["train.eval_every=0", "data.batch_size=2"]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the text and the rows that the README names; `data fetch` finds them in its cache."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(PACKAGE.glob("**/*.py"))]
    ordinary = [text for text in sources if "<|endoftext|>" not in text]  # a book does not hold it
    (tmp_path / "book.txt").write_text("\n".join(ordinary), encoding="utf-8")
    row = {"instruction": "Name the capital of France.", "input": "", "output": "Paris."}
    (tmp_path / "alpaca.json").write_text(json.dumps([row] * 40))
    for name, file in (("tinyshakespeare", "book.txt"), ("alpaca", "alpaca.json")):
        (cached,) = files_of(SOURCES[name])
        (tmp_path / "cache" / name).mkdir(parents=True)
        shutil.copy(tmp_path / file, tmp_path / "cache" / name / cached.name)
    monkeypatch.setenv("BYTEMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands() -> list[list[str]]:
    (block,) = code_blocks("sh")
    return [shlex.split(line, comments=True)[1:] for line in block.replace("\\\n", " ").splitlines()]


def test_ten_lines_of_python(workplace: Path) -> None:
    (block,) = code_blocks("python")
    names: dict[str, Any] = {}
    exec(block, names)
    assert 7 < names["loss"].item() < 9  # ln(4096) is 8.3, and the model is fresh
    assert (workplace / "shards" / "manifest.json").exists()


def test_commands(workplace: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in commands():
        if "--steps" in arguments:
            arguments[arguments.index("--steps") + 1] = "2"
            arguments += ["--set", *FEW_STEPS]
        elif arguments[0] in ("generate", "chat"):
            arguments += ["--max-new-tokens", "4"]
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Who are you?\n")))
        monkeypatch.setattr("sys.argv", ["bytemill", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code, capfd.readouterr().err
    assert "<!doctype html>" in (workplace / "report.html").read_text(encoding="utf-8").lower()
