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

mod base;
pub(crate) mod count;
#[cfg(test)]
mod edge_tests;
mod merge;
#[cfg(test)]
mod naive;
mod options;
mod progress;
#[cfg(test)]
mod reference_tests;
#[cfg(test)]
mod tests;

use crate::error::Result;
use crate::hints;
use merge::{Budget, learn};

pub use base::Base;
pub use count::{Counter, Counting, DocumentUnit, Provenance, Sink, Watched, WordCounts, count_documents, count_files};
pub use options::{Merge, Options, Ties};
pub use progress::{Progress, Watch};

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
    learn(base, counts, options, budget, watch)
}
