//! File access for shards: find files in their folder, read them at any position, map them.

pub(super) mod folder;
pub(super) mod mapped_file;
pub(super) mod positional_file;
