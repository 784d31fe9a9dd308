//! Blocks in four NEON registers, which every aarch64 processor has.

// The purpose of this file is to use intrinsics (see `x86`).
#![allow(unsafe_code)]
// Each method is a few instructions of the loop over blocks.
#![allow(clippy::inline_always)]

use super::compare::{LANES, Lanes};
use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vcleq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vpaddq_u8, vreinterpretq_u64_u8,
    vsubq_u8,
};

/// Four registers of 16 bytes.
#[derive(Clone, Copy)]
pub(in super::super) struct Neon([uint8x16_t; 4]);

// NEON belongs to the target, so unlike those of `x86` these closures have the features of their callers.
impl Lanes for Neon {
    #[inline(always)]
    fn load(bytes: &[u8; LANES]) -> Self {
        let start = bytes.as_ptr();
        // SAFETY: 16 bytes are readable at each of these places, at any alignment; the processor has NEON.
        Self([0, 16, 32, 48].map(|at| unsafe { vld1q_u8(start.add(at)) }))
    }

    #[inline(always)]
    fn equal(self, byte: u8) -> u64 {
        // SAFETY: the processor has NEON.
        bits(self.0.map(|lanes| unsafe { vceqq_u8(lanes, vdupq_n_u8(byte)) }))
    }

    #[inline(always)]
    fn within(self, first: u8, last: u8) -> u64 {
        // SAFETY: the processor has NEON.
        bits(self.0.map(|lanes| unsafe {
            let offset = vsubq_u8(lanes, vdupq_n_u8(first));
            vcleq_u8(offset, vdupq_n_u8(last - first))
        }))
    }
}

/// The bit for each of the eight bytes that are combined into one.
const WEIGHTS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

/// Return one bit for each byte that is all ones; the others must be zero.
///
/// NEON has no instruction for this: each byte keeps its own bit, and three sums of neighbours put eight bytes into
/// one.
#[inline(always)]
fn bits(bytes: [uint8x16_t; 4]) -> u64 {
    // SAFETY: 16 bytes are readable at `WEIGHTS`; the processor has NEON.
    unsafe {
        let weights = vld1q_u8(WEIGHTS.as_ptr());
        let [a, b, c, d] = bytes.map(|bytes| vandq_u8(bytes, weights));
        let fours = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
        vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(fours, fours)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Return one bit for each byte for which `is` returns true.
    fn singly(bytes: &[u8; LANES], is: impl Fn(u8) -> bool) -> u64 {
        bytes.iter().enumerate().fold(0, |bits, (i, &byte)| bits | u64::from(is(byte)) << i)
    }

    #[test]
    fn each_byte_has_its_bit() {
        for start in 0..=u8::MAX {
            // An odd stride, so that every byte value occurs at every position.
            let bytes = std::array::from_fn(|i| start.wrapping_add((i as u8).wrapping_mul(37)));
            let lanes = Neon::load(&bytes);
            for first in 0..=u8::MAX {
                assert_eq!(lanes.equal(first), singly(&bytes, |byte| byte == first));
                let last = first.saturating_add(start);
                assert_eq!(lanes.within(first, last), singly(&bytes, |byte| (first..=last).contains(&byte)));
            }
        }
    }
}
