//! Token files: written once, checked always, read in an order that one integer tells.
//!
//! * [`header`], [`index`], [`checksum`], [`manifest`]: the formats, as docs/formats.md specifies them;
//! * [`writer`] cuts a stream of documents' ids into shards, [`verify()`] reads everything back;
//! * [`order`] and [`mixture`] say which sample comes when, without memory;
//! * [`loader`] turns positions into batches, with threads that read ahead; [`SharedLoader`] is one for many threads.

mod batch;
mod best_fit;
mod boundaries;
pub mod checksum;
mod contents;
mod entries;
mod folder;
mod foreign;
pub mod header;
pub mod index;
mod kept;
pub mod leftovers;
pub mod loader;
pub(crate) mod lock;
pub mod manifest;
mod map;
mod merge;
pub mod mixture;
mod options;
pub mod order;
mod pace;
mod prefetch;
mod reader;
mod samples;
mod shared;
mod source;
mod state;
mod tokens;
mod verify;
pub mod writer;

pub use batch::{Batch, IdType, Ids};
pub use boundaries::Boundaries;
pub use checksum::{BLOCK_BYTES, BlockChecksums};
pub(crate) use contents::{Run, Runs};
pub use entries::{InputEntry, Plan, ShardEntry, Validation};
pub use header::{HEADER_BYTES, Header, MAX_SHARD_TOKENS, MAX_VOCAB, Split, TokenWidth};
pub use index::Index;
pub use loader::Loader;
pub(crate) use manifest::JOURNAL_NAME;
pub use manifest::{MANIFEST_NAME, Manifest};
pub use merge::merge;
pub use mixture::Mixture;
pub use options::LoaderOptions;
pub use reader::Verify;
pub use shared::SharedLoader;
pub use state::{LoaderState, Packing};
pub use tokens::{Buffers, Tokens};
pub(crate) use verify::verify_shard;
pub use verify::{Watch, verify};
pub use writer::{Layout, SplitWriter};

#[cfg(test)]
mod tests;
