"""Texts for the timing: English, code and Chinese, from files installed on this machine.

Lines of more than 25 characters are used once, because repeated licences and headers would not be unseen text.
"""

import os
import random
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cut_bytes", "default_texts", "documents", "pieces"]

ENDINGS = {
    "English": (".md", ".rst", ".txt", ".pod", ".html", "METADATA", "copyright", "README"),
    "code": (".py", ".rs", ".h", ".c", ".hpp"),
    "Chinese": (".txt", ".md", ".json"),
}
_HAN = range(0x3400, 0xA000)


def default_texts(n_bytes: int) -> dict[str, str]:
    """Return up to `n_bytes` of each kind, from packages, system documentation and the shared data sets."""
    files = _files(*_roots())
    random.Random(1).shuffle(files)
    texts = {}
    for name, endings in ENDINGS.items():
        chosen, found, seen = [], 0, set[int]()
        for path in (path for path in files if path.name.endswith(endings)):
            text = _read(path)
            if text is None or (name == "Chinese") != _is_chinese(text):
                continue
            chosen.append("".join(_new_lines(text, seen)))
            found += len(chosen[-1].encode())
            if found >= n_bytes:
                break
        texts[name] = cut_bytes("".join(chosen), n_bytes)
    return {name: text for name, text in texts.items() if text}


def cut_bytes(text: str, n_bytes: int) -> str:
    """Return the start of `text` in at most `n_bytes` of UTF-8, without white space at its end."""
    return text.encode(errors="replace")[:n_bytes].decode(errors="ignore").rstrip()


def documents(text: str, n_bytes: int) -> list[str]:
    """Split `text` into documents of about `n_bytes`."""
    data = text.encode()
    return [data[start : start + n_bytes].decode(errors="ignore") for start in range(0, len(data), n_bytes)]


def pieces(text: str, n_bytes: int, count: int) -> list[str]:
    """Return `count` different pieces of about `n_bytes`, spread over `text`."""
    data = text.encode()
    step = max(len(data) // (count + 1), n_bytes)
    return [data[at : at + n_bytes].decode(errors="ignore") for at in range(0, len(data) - n_bytes, step)][:count]


def _roots() -> list[Path]:
    shared = Path(os.environ.get("BYTEMILL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    installed = [*site.getsitepackages(), sysconfig.get_path("stdlib"), "/usr/share/doc", "/usr/include"]
    cargo = Path.home() / ".cargo" / "registry" / "src"
    return [*map(Path, installed), Path("/usr/lib/python3"), cargo, shared / "pku_manual", shared / "alpaca"]


def _files(*roots: Path) -> list[Path]:
    found = {path for root in roots for path in root.rglob("*") if path.suffix or path.name in ENDINGS["English"]}
    wanted = tuple(ending for endings in ENDINGS.values() for ending in endings)
    return sorted(path for path in found if path.name.endswith(wanted))


def _read(path: Path) -> str | None:
    try:
        if 0 < path.stat().st_size < 40_000_000:
            with path.open(encoding="utf-8", newline="") as file:
                return file.read(20_000_000)
    except (OSError, UnicodeDecodeError):
        pass
    return None


def _is_chinese(text: str) -> bool:
    start = text[:4_000]
    return sum(ord(character) in _HAN for character in start) > len(start) * 0.3


def _new_lines(text: str, seen: set[int]) -> Iterator[str]:
    for line in text.splitlines(keepends=True):
        if len(line) <= 25 or hash(line) not in seen:
            seen.add(hash(line))
            yield line
