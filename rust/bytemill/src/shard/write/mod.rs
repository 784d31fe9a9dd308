//! Ids to shards: one writer per split, a lock per folder, merging of folders, and removal of a killed writer's files.

pub mod leftovers;
pub(crate) mod lock;
pub(super) mod merge;
pub mod writer;
