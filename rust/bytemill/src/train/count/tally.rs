//! How often a word occurs, and where it occurs first.

/// How often a word occurs, and where it occurs first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::train) struct Tally {
    /// Number of occurrences.
    pub(in crate::train) count: u64,
    /// Offset of the first occurrence in the concatenation of all documents.
    pub(in crate::train) first: u64,
}

impl Tally {
    /// Add the tally of the same word in another text.
    pub(super) fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count); // merging refuses a sum that is too large
        self.first = self.first.min(other.first);
    }
}
