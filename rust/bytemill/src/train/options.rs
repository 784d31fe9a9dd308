//! Training options: the number of merges, the tie rule, and limits on tokens and memory.

/// A merge: the ids of its left and right parts. Ids 0-255 are byte values, merge `i` makes 256 + `i`.
pub type Merge = (u32, u32);

/// Which pair to merge first if several have the same count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The smallest (left id, right id), with bytes in the order of GPT-2's printable characters: the same as Hugging
    /// Face's `BpeTrainer`.
    Huggingface,
    /// The smallest (left id, right id), with bytes by value: the same as rustbpe.
    LowestId,
    /// The pair that occurs first in the text: the same as Python's `max` over a dict filled from left to right.
    FirstSeen,
    /// The lexicographically greatest (left bytes, right bytes): the rule of Stanford's CS336. It keeps the bytes of
    /// every token in memory.
    LargestBytes,
}

/// Options for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Maximum number of merges; fewer if the text has too few pairs.
    pub n_merges: usize,
    /// Which pair to merge first if several have the same count.
    pub ties: Ties,
    /// Minimum count of a pair to be merged; 0 and 1 mean the same.
    pub min_frequency: u64,
    /// Maximum length of a token in bytes. (Hugging Face's `max_token_length` is this number plus one, because tokens
    /// stay below it; and it always allows a merge of two bytes.)
    pub max_token_bytes: Option<usize>,
    /// Whether no token may cut a UTF-8 character: each token is whole characters, or part of one.
    pub utf8_safe: bool,
    /// Maximum memory for merging in bytes, including the memory of `counts`.
    pub max_memory: Option<u64>,
}

impl Options {
    /// Return options with `n_merges` and `ties`, and no other limits.
    pub fn new(n_merges: usize, ties: Ties) -> Self {
        Self { n_merges, ties, min_frequency: 0, max_token_bytes: None, utf8_safe: false, max_memory: None }
    }
}
