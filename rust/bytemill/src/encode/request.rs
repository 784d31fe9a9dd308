//! Options of encoding: the special-token policy and the maximum number of ids.

use super::special::SpecialPolicy;

/// What to encode of each text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'p> {
    /// How to handle special tokens; `None` treats them as ordinary text.
    pub policy: Option<&'p SpecialPolicy>,
    /// Maximum number of ids (the first ones are kept); `None` for all.
    pub max_tokens: Option<usize>,
}
