"""Documents to token shards, shards to batches, examples to rows."""
