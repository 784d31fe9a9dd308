"""What a folder of shards holds, as its manifest.json tells."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bytemill.errors import DataError, FormatError

if TYPE_CHECKING:
    from bytemill.tokenizer import Tokenizer

__all__ = ["Manifest", "read_manifest"]

Split = Literal["train", "val"]


@dataclass(frozen=True)
class Manifest:
    """The manifest's figures; docs/formats.md describes every field of the file."""

    folder: Path
    n_vocab: int
    end_of_text: int | None
    tokenizer_sha256: str
    root_sha256: str
    """A hash over all of the manifest, and so over all tokens."""
    shards: tuple[dict[str, Any], ...]
    inputs: tuple[dict[str, Any], ...] = ()
    """Name, bytes and SHA-256 of each file of text."""
    text_field: str = "text"
    """The field of a row that held its text."""

    def tokens(self, split: Split) -> int:
        """Tokens in all shards of a split."""
        return self._sum("tokens", split)

    def documents(self, split: Split) -> int:
        """Documents that begin in the shards of a split."""
        return self._sum("documents", split)

    def refuse_other(self, tokenizer: Tokenizer) -> None:
        """Make sure that `tokenizer` is the one that made the shards.

        Raises:
            DataError: It is another; names both fingerprints.
        """
        if tokenizer.fingerprint != self.tokenizer_sha256:
            raise DataError(
                f"{self.folder}: these shards were made with another tokenizer: theirs has the fingerprint "
                f"{self.tokenizer_sha256[:12]}, the one given {tokenizer.fingerprint[:12]}"
            )

    def _sum(self, field: str, split: Split) -> int:
        return sum(shard[field] for shard in self.shards if shard["split"] == split)


def read_manifest(folder: str | Path) -> Manifest:
    """Read the manifest of a folder of shards; `verify` is what checks it.

    Raises:
        FileNotFoundError: The folder has none.
        FormatError: It is not a manifest.
    """
    path = Path(folder) / "manifest.json"
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
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
    except KeyError as missing:
        raise FormatError(f"{path}: not a manifest of token shards: it lacks {missing}") from None
    except (ValueError, TypeError) as error:
        raise FormatError(f"{path}: not a manifest of token shards: {error}") from None
