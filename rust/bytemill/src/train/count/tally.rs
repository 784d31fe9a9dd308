//! How often a word occurs, and where first.

/// How often a word occurs, and where first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::train) struct Tally {
    /// Occurrences.
    pub(in crate::train) count: u64,
    /// Offset of the first occurrence in all documents put together.
    pub(in crate::train) first: u64,
}

impl Tally {
    /// Joins the tallies of one word in two texts.
    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count); // where that is too much, merging refuses it
        self.first = self.first.min(other.first);
    }
}
