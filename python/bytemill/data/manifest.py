"""Read the manifest.json of a folder of shards."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bytemill.errors import DataError, FormatError
from bytemill.json_reader import read_object
from bytemill.notebook.fragments import facts
from bytemill.outside_text import one_line

if TYPE_CHECKING:
    from types import UnionType

    from bytemill.tokenizer import Tokenizer

__all__ = ["Manifest", "read_manifest"]

MAX_VOCAB = 1 << 24
"""Maximum ids of a vocabulary; the core has the same limit."""

Split = Literal["train", "val"]

_FIELDS: dict[str, type | UnionType] = {
    "n_vocab": int,
    "end_of_text": int | None,
    "tokenizer_sha256": str,
    "root_sha256": str,
    "plan": dict | None,
    "shards": list,
    "inputs": list,
}
_SHARD_FIELDS: dict[str, type | UnionType] = {"split": str, "tokens": int, "documents": int}
_INPUT_FIELDS: dict[str, type | UnionType] = {"name": str, "bytes": int, "sha256": str}


@dataclass(frozen=True)
class Manifest:
    """The contents of a manifest; docs/formats.md describes every field of the file."""

    folder: Path
    n_vocab: int
    end_of_text: int | None
    tokenizer_sha256: str
    root_sha256: str
    """Hash of the whole manifest, and so of all tokens."""
    shards: tuple[dict[str, Any], ...]
    inputs: tuple[dict[str, Any], ...] = ()
    """Name, bytes and SHA-256 of each text file."""
    text_field: str = "text"
    """The field of a row that has the text."""

    def tokens(self, split: Split) -> int:
        """Return the number of tokens in all shards of a split."""
        return self._sum("tokens", split)

    def documents(self, split: Split) -> int:
        """Return the number of documents that begin in the shards of a split."""
        return self._sum("documents", split)

    def refuse_other(self, tokenizer: Tokenizer) -> None:
        """Raise DataError if `tokenizer` is not the one that made the shards.

        Raises:
            DataError: It is another tokenizer; the message has both fingerprints.
        """
        if tokenizer.fingerprint != self.tokenizer_sha256:
            raise DataError(
                f"{self.folder}: these shards were made with another tokenizer: theirs has the fingerprint "
                f"{self.tokenizer_sha256[:12]}, the given one has {tokenizer.fingerprint[:12]}"
            )

    def _repr_html_(self) -> str:
        splits: dict[str, Split] = {"training": "train", "validation": "val"}
        rows = {
            name: f"{self.tokens(split):,} tokens of {self.documents(split):,} documents in {n_shards:,} shards"
            for name, split in splits.items()
            if (n_shards := sum(shard["split"] == split for shard in self.shards))
        }
        rows |= {"vocabulary": f"{self.n_vocab:,} ids", "tokenizer": f"fingerprint {self.tokenizer_sha256[:12]}"}
        if self.inputs:
            n_bytes = sum(entry["bytes"] for entry in self.inputs)
            rows["text"] = f"{n_bytes:,} bytes in {len(self.inputs):,} files"
        return facts(f"Token shards in {self.folder}", rows)

    def _sum(self, field: str, split: Split) -> int:
        return sum(shard[field] for shard in self.shards if shard["split"] == split)


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of a folder of shards; `verify` checks the shards against it.

    Raises:
        FileNotFoundError: The folder has no manifest.
        FormatError: The file is not a valid manifest.
    """
    path = Path(folder) / "manifest.json"
    fields = read_object(path)
    for name, kind in _FIELDS.items():
        if name not in fields:
            raise FormatError(f"{path}: not a manifest of token shards: it lacks {name!r}")
        _check(path, name, fields[name], kind)
    for name, entries in (("shards", _SHARD_FIELDS), ("inputs", _INPUT_FIELDS)):
        for number, entry in enumerate(fields[name], start=1):
            _check(path, f"entry {number} of {name}", entry, dict)
            for field, kind in entries.items():
                _check(path, f"{field} of entry {number} of {name}", entry.get(field), kind)
    if not 0 < fields["n_vocab"] <= MAX_VOCAB:
        raise FormatError(f"{path}: n_vocab is {fields['n_vocab']}, expected 1 to {MAX_VOCAB}")
    return Manifest(
        folder=Path(folder),
        n_vocab=fields["n_vocab"],
        end_of_text=fields["end_of_text"],
        tokenizer_sha256=fields["tokenizer_sha256"],
        root_sha256=fields["root_sha256"],
        shards=tuple(fields["shards"]),
        inputs=tuple(fields["inputs"]),
        text_field=(fields["plan"] or {}).get("text_field", "text"),
    )


def _check(path: Path, name: str, value: Any, kind: type | UnionType) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise FormatError(f"{path}: not a manifest of token shards: {name} is {one_line(json.dumps(value))}")
