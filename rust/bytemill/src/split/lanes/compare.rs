//! What a backend does with 64 bytes: compare them all, one bit per answer.

// The one method here is a part of the loop over blocks.
#![allow(clippy::inline_always)]

/// How many bytes a block has.
pub(in super::super) const LANES: usize = 64;

/// Bytes of a block; each answer has one bit a byte, the first byte's lowest.
pub(in super::super) trait Lanes: Copy {
    fn load(bytes: &[u8; LANES]) -> Self;
    /// Which bytes are `byte`.
    fn equal(self, byte: u8) -> u64;
    /// Which bytes are `first` to `last`.
    fn within(self, first: u8, last: u8) -> u64;

    /// The numbers of the bits that are set, in order; behind them anything.
    #[inline(always)]
    fn places(mut bits: u64) -> [u8; LANES] {
        let mut places = [0; LANES];
        for eight in places.as_chunks_mut::<8>().0 {
            for place in eight {
                *place = bits.trailing_zeros() as u8;
                bits &= bits.wrapping_sub(1);
            }
            if bits == 0 {
                break;
            }
        }
        places
    }
}
