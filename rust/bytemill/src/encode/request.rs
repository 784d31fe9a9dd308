//! What is asked of encoding: special tokens or not, all ids or the first ones.

use super::special::SpecialPolicy;

/// What to encode of each text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'p> {
    /// What to do about special tokens; `None` takes them for ordinary text.
    pub policy: Option<&'p SpecialPolicy>,
    /// So many ids at most, the first ones; `None` for all.
    pub max_tokens: Option<usize>,
}
