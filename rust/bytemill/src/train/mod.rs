//! Learn a vocabulary: count pretokens, then merge the most frequent pair repeatedly.
//!
//! ```text
//! documents -> Counter (one per thread) -> join -> WordCounts -> Arena -> hot pairs -> merges
//! ```
//!
//! A Counter counts the distinct pretokens of documents, here also called words. The Arena is one array with all
//! distinct words, as tokens. A hot pair is a frequent pair of neighbouring tokens, whose count and places are kept.
//!
//! The rule is defined in `naive`, and every fast path must give the same result. In each step, count every pair of
//! neighbouring tokens in every pretoken, overlaps included (`aaa` contains the pair (a, a) twice). Take the pair with
//! the highest count; [`Ties`] decides between equal counts. Replace it from left to right, without overlaps, by a new
//! token.
//!
//! The fast path counts once and then updates counts:
//!
//! ```text
//! while merges are wanted:
//!     best = (l, r) = the top of a queue by count; while its count has fallen, put it back with its new count
//!     at each place of best, between neighbours x and y:
//!         write the new token; note x and y
//!     lower the counts of (x, l) and (r, y)
//!     add (x, new) and (new, y) to the hot pairs and to the queue
//! ```
//!
//! That is `learn`, `most_frequent`, `merge` and `update_counts` of `Learner`, in merge/learn.rs. Hugging Face's trainer
//! and rustbpe also update counts, and get the same merges. They leave the count of the merged pair as it was, but that
//! pair never occurs again.
//!
//! Memory grows with the number of distinct pretokens, not with the length of the text. Without a split pattern, a
//! whole document is one pretoken. With a memory limit, counts go to sorted runs on disk, and fewer pairs are hot at a
//! time. The merges are the same for any number of threads and any limit.

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
pub use count::{
    Counter, Counting, DocumentUnit, Provenance, Sink, SpecialTextFinder, WordCounts, count_documents, count_files,
};
pub use options::{Merge, Options, Ties};
pub use progress::{Progress, Watch};

/// Learn merges from counted pretokens, most frequent pair first.
///
/// Stop early, without an error, when no allowed pair is left. Return an error if `watch` breaks, if the distinct
/// pretokens have 4 GiB or more in total, if they do not fit into `max_memory` (the message gives the value needed), or
/// if counts on disk cannot be read.
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

/// Learn merges as [`train`] does, after applying the merges of `base`. Return these and then the new ones,
/// `options.n_merges` in total.
///
/// Continuing with the text that the base was trained on gives the same merges as training to that number in one run.
/// The limits of `options` apply to new tokens only.
pub fn train_onto(base: &Base, counts: &WordCounts, options: Options, watch: &mut Watch) -> Result<Vec<Merge>> {
    let budget = Budget::new(counts, base.merges().len(), &options)?;
    if options.max_memory.is_some() {
        hints::give_back(); // memory that counting used
    }
    learn(base, counts, options, budget, watch)
}
