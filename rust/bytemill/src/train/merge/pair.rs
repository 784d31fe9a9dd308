//! Two neighbouring tokens.

/// Two neighbouring tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The left token's id.
    pub(super) left: u32,
    /// The right token's id.
    pub(super) right: u32,
}

impl Pair {
    /// Create the pair of `left` and `right`.
    pub(super) fn new(left: u32, right: u32) -> Self {
        Self { left, right }
    }

    /// Return a number that spreads pairs evenly, independent of the hash of [`PairTable`].
    #[inline]
    pub(super) fn part(self) -> u32 {
        let mixed = (u64::from(self.left) << 32 | u64::from(self.right)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        ((mixed ^ mixed >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32) as u32
    }
}
