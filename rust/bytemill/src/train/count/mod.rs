//! Text to word counts: documents are split, and each distinct pretoken is counted once.
//!
//! ```text
//! documents -> Counter (one per thread) -> WordTable (runs on disk when it is full) -> join -> WordCounts
//! ```

mod counter;
mod counts_file;
mod document_unit;
mod documents;
mod join;
mod long_words;
pub(crate) mod pieces;
mod runs;
mod short_words;
mod tally;
mod watched;
mod word_counts;
mod word_table;

pub use counter::Counter;
pub use counts_file::Provenance;
pub use document_unit::DocumentUnit;
pub use documents::{Counting, Sink, count_documents, count_files};
pub(super) use runs::Order;
pub use watched::Watched;
pub use word_counts::WordCounts;
