"""Documents to token shards, shards to batches, examples to rows."""

from bytemill.data.loader import TokenLoader
from bytemill.data.manifest import Manifest, read_manifest
from bytemill.data.prepare import prepare, verify

__all__ = ["Manifest", "TokenLoader", "prepare", "read_manifest", "verify"]
