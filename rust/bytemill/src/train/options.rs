//! What to learn: how many merges, how equal counts are settled, and limits on tokens and memory.

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
