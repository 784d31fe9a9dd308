//! Token files that are written once, always checked, and read in an order determined by one integer.
//!
//! ```text
//! files <- format <- foreign <- read <- write, load
//! ```
//!
//! * `format`: [`header`], [`index`], [`checksum`] and [`manifest`], as specified in docs/formats.md;
//! * `write`: [`writer`] splits a stream of documents' ids into shards, [`merge()`] joins folders;
//! * `read`: tokens at any position, with each block checked; [`verify()`] reads and checks everything;
//! * `load`: [`order`] and [`mixture`] compute the sample at a position, without stored state; [`loader`] turns
//!   positions into batches, with threads that prefetch; [`SharedLoader`] is one loader for many threads;
//! * `foreign`: token files of other programs, `files`: files in a folder of shards.

mod files;
mod foreign;
mod format;
mod load;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use format::checksum::{BLOCK_BYTES, BlockChecksums};
pub use format::entries::{InputEntry, Plan, ShardEntry, Validation};
pub use format::header::{HEADER_BYTES, Header, MAX_SHARD_TOKENS, MAX_VOCAB, Split, TokenWidth};
pub use format::index::Index;
pub(crate) use format::manifest::JOURNAL_NAME;
pub use format::manifest::{MANIFEST_NAME, Manifest};
pub use format::{checksum, header, index, manifest};
pub use load::batch::{Batch, Ids};
pub use load::boundaries::Boundaries;
pub use load::loader::Loader;
pub use load::mixture::Mixture;
pub use load::options::{IdType, LoaderOptions, Packing};
pub use load::shared_loader::SharedLoader;
pub use load::state::LoaderState;
pub use load::{loader, mixture, order};
pub(crate) use read::contents::{Run, Runs};
pub use read::shard_reader::Verify;
pub use read::tokens::{Buffers, Tokens};
pub(crate) use read::verify::verify_shard;
pub use read::verify::{Watch, verify};
pub(crate) use write::lock;
pub use write::merge::merge;
pub use write::writer::{Layout, SplitWriter};
pub use write::{leftovers, writer};
