"""Prepare documents as token shards, load batches from shards, and encode rows."""

from typing import TYPE_CHECKING, Any

from bytemill.data.fetch import fetch
from bytemill.data.manifest import Manifest, read_manifest
from bytemill.data.parts import merge
from bytemill.data.prepare import prepare, verify
from bytemill.extras import needing

if TYPE_CHECKING:
    from bytemill.data.loader import TokenLoader

__all__ = ["Manifest", "TokenLoader", "fetch", "merge", "prepare", "read_manifest", "verify"]


def __getattr__(name: str) -> Any:
    """Import `TokenLoader` on first use: it needs torch, which preparing shards does not need."""
    if name == "TokenLoader":
        try:
            from bytemill.data.loader import TokenLoader
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(needing("TokenLoader", error) or str(error), name=error.name) from None
        return TokenLoader
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
