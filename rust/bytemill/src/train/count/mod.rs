//! Text to word counts: split documents into pretokens, and store each distinct pretoken once with its count.
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
mod special_text_finder;
mod tally;
mod word_counts;
mod word_table;

pub use counter::Counter;
pub use counts_file::Provenance;
pub use document_unit::DocumentUnit;
pub use documents::{Counting, Sink, count_documents, count_files};
pub(super) use runs::Order;
pub use special_text_finder::SpecialTextFinder;
pub use word_counts::WordCounts;
