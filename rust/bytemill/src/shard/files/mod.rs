//! Files as shards need them: found in their folder, read at any position, mapped.

pub(super) mod folder;
pub(super) mod mapped_file;
pub(super) mod positional_file;
