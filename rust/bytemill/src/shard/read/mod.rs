//! Shards to tokens: at any position or from start to end, checked against their checksums.

pub(super) mod contents;
pub(super) mod shard_reader;
pub(super) mod tokens;
pub(super) mod verify;
