//! The operation of a backend on 64 bytes: compare them all, one bit per result.

// The one method here is a part of the loop over blocks.
#![allow(clippy::inline_always)]

/// The number of bytes in a block.
pub(in super::super) const LANES: usize = 64;

/// The bytes of a block. Each result has one bit per byte; the lowest bit is the first byte.
pub(in super::super) trait Lanes: Copy {
    fn load(bytes: &[u8; LANES]) -> Self;
    /// Return which bytes equal `byte`.
    fn equal(self, byte: u8) -> u64;
    /// Return which bytes are in `first` to `last`.
    fn within(self, first: u8, last: u8) -> u64;

    /// Return the indices of the set bits, in order; the rest of the array is undefined.
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
