//! Ids to shards: a writer per split, one writer per folder, folders merged, remains of a killed writer removed.

pub mod leftovers;
pub(crate) mod lock;
pub(super) mod merge;
pub mod writer;
