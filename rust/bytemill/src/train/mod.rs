//! Learns a vocabulary: counts pretokens, then merges the most frequent pair again and again.
//!
//! ```text
//! documents -> Counter (one a thread) -> join -> WordCounts -> Arena -> hot pairs -> merges
//! ```
//!
//! The rule, which `naive` spells out and every fast path must equal: in each step count every two
//! neighbouring tokens of every pretoken, overlaps included (`aaa` holds the pair (a, a) twice);
//! take the pair with the highest count, equal counts settled by [`Ties`]; replace it from left to
//! right, without overlaps, by a new token. Hugging Face's trainer and rustbpe keep their counts up
//! to date instead of counting anew, and arrive at the same numbers: only the count of the pair just
//! merged goes stale in theirs, and that pair can never return.
//!
//! Memory follows the number of distinct pretokens, not the length of the text; without a split
//! pattern a whole document is one pretoken. Within a limit of memory, counts go to sorted runs on
//! disk and fewer pairs are watched at once. The merges are the same for any number of threads and
//! any limit.

mod arena;
mod ask;
mod base;
mod budget;
mod count;
mod counts_file;
#[cfg(test)]
mod edge_tests;
mod feed;
mod join;
mod long_words;
mod merge;
#[cfg(test)]
mod naive;
mod neighbours;
mod pair_table;
mod pairs;
pub(crate) mod pieces;
#[cfg(test)]
mod reference_tests;
mod runs;
mod scan;
mod shape;
mod short_words;
#[cfg(test)]
mod tests;
mod ties;
mod watched;
mod word_counts;
mod words;

use crate::error::Result;
use crate::hints;
use budget::Budget;
use std::ops::ControlFlow;

pub use base::Base;
pub use count::Counter;
pub use counts_file::Provenance;
pub use feed::{Counting, Feed, Sink, count_documents, count_files};
pub use watched::Watched;
pub use word_counts::WordCounts;

/// A merge: the ids of its left and right part. Ids 0-255 are byte values, merge `i` makes 256 + `i`.
pub type Merge = (u32, u32);

/// Which of several pairs with the same count is merged first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The smallest (left id, right id), bytes in the order of GPT-2's printable characters: equal to
    /// Hugging Face's `BpeTrainer`.
    Huggingface,
    /// The smallest (left id, right id), bytes by value: equal to rustbpe.
    LowestId,
    /// The pair that comes first in the text: Python's `max` over a dict filled from left to right.
    FirstSeen,
    /// The lexicographically greatest (left bytes, right bytes): the rule of Stanford's CS336. The
    /// bytes of every token are kept in memory for it.
    LargestBytes,
}

/// What to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How many merges to learn at most; fewer when the text gives no more.
    pub n_merges: usize,
    /// How equal counts are settled.
    pub ties: Ties,
    /// Pairs that occur less often are not merged; 0 and 1 mean the same.
    pub min_frequency: u64,
    /// No token grows longer than this many bytes. (Hugging Face's `max_token_length` is one more,
    /// for it is a limit that tokens stay below; and it lets two bytes join whatever it is.)
    pub max_token_bytes: Option<usize>,
    /// No token cuts a UTF-8 character: each is whole characters, or lies within one.
    pub utf8_safe: bool,
    /// Bytes of memory that merging may take, what `counts` take included.
    pub max_memory: Option<u64>,
}

impl Options {
    /// As many merges as `n_merges`, equal counts settled by `ties`, and no other limits.
    pub fn new(n_merges: usize, ties: Ties) -> Self {
        Self { n_merges, ties, min_frequency: 0, max_token_bytes: None, utf8_safe: false, max_memory: None }
    }
}

/// How far the work is, for a progress bar; told a few times a second at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Text is being counted.
    Counting {
        /// Bytes of documents taken in so far.
        bytes: u64,
    },
    /// Merges are being learnt.
    Merging {
        /// Merges learnt so far.
        done: usize,
        /// Merges asked for.
        wanted: usize,
    },
}

/// Called now and then with the progress; breaking makes the work return [`crate::Error::Interrupted`].
pub type Watch<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// Learns merges from counted pretokens, the most frequent pair first.
///
/// Stops early, without an error, when no pair is left that `options` allow. Fails when `watch`
/// breaks, when the distinct pretokens together hold 4 GiB or more, when they do not fit into
/// `max_memory` (the message says what would do), and when counts on disk cannot be read.
///
/// ```
/// use bytemill::{split::Splitter, train::{Counter, Options, Ties, train}};
/// use std::ops::ControlFlow;
///
/// let mut counter = Counter::new(Splitter::new(None)?);
/// counter.add(b"aaabdaaabac")?;
/// let options = Options::new(3, Ties::FirstSeen);
/// let merges = train(&counter.into_counts()?, options, &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(merges, [(97, 97), (256, 97), (257, 98)]); // aa, aaa, aaab
/// # Ok::<(), bytemill::Error>(())
/// ```
pub fn train(counts: &WordCounts, options: Options, watch: &mut Watch) -> Result<Vec<Merge>> {
    train_onto(&Base::default(), counts, options, watch)
}

/// As [`train`], after the merges of `base` have been made: returns these and then the new ones,
/// `options.n_merges` together.
///
/// Going on with the text that the base was learnt from gives what training to that number at once
/// would have given. What `options` forbid is asked of new tokens only.
pub fn train_onto(base: &Base, counts: &WordCounts, options: Options, watch: &mut Watch) -> Result<Vec<Merge>> {
    let budget = Budget::new(counts, base.merges().len(), &options)?;
    if options.max_memory.is_some() {
        hints::give_back(); // what counting took
    }
    train_within(base, counts, options, budget, watch)
}

/// As [`train_onto`], with a budget of choice.
fn train_within(
    base: &Base,
    counts: &WordCounts,
    options: Options,
    budget: Budget,
    watch: &mut Watch,
) -> Result<Vec<Merge>> {
    match options.ties {
        Ties::Huggingface => merge::learn(base, counts, options, budget, ties::SmallestIds::printable_order(), watch),
        Ties::LowestId => merge::learn(base, counts, options, budget, ties::SmallestIds::byte_order(), watch),
        Ties::FirstSeen => merge::learn(base, counts, options, budget, ties::FirstPlace, watch),
        Ties::LargestBytes => merge::learn(base, counts, options, budget, ties::LargestBytes::new(), watch),
    }
}
