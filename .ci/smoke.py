"""Check an installed bytemill: a tokenizer keeps every text, shards keep every token, the command starts.

Run it with the Python that has the wheel, outside of a checkout. It needs no extra and no network.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from bytemill import Tokenizer
from bytemill.data import prepare, verify

TEXT = "The cat sat on the mat; 北京 is far, naïve 👩‍👩‍👧 too.\r\nA new line.\n" * 500


def command(*arguments: str | Path, folder: Path) -> str:
    """Run a command in a folder and return its output."""
    done = subprocess.run(
        [sys.executable, "-m", "bytemill", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"bytemill {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


def main() -> None:
    """Do all checks in a folder whose name has spaces and is not ASCII."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "a folder, größer als 北京"
        folder.mkdir()
        text = folder / "text.txt"
        text.write_bytes(TEXT.encode())
        tokenizer = Tokenizer.train(files=[text], vocab_size=400)
        tokenizer.save(folder / "tokenizer.json")
        loaded = Tokenizer.load(folder / "tokenizer.json")
        assert loaded.decode(loaded.encode(TEXT)) == TEXT
        for _ in ("new", "replaced"):
            prepare(text, folder / "shards", tokenizer=loaded, val=0, check=True)
        verify(folder / "shards", against=text, tokenizer=loaded)
        assert command("--version", folder=folder).strip()
        ids = command("tokenizer", "encode", "-t", "tokenizer.json", "text.txt", folder=folder)
        assert list(map(int, ids.split())) == loaded.encode(TEXT)
        command("data", "verify", "shards", folder=folder)
    print(f"bytemill works with Python {sys.version.split()[0]} on {sys.platform}")


if __name__ == "__main__":
    main()
