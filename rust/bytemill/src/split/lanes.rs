//! 64 bytes compared at once: what the processor offers, chosen at run time.
//!
//! The environment variable `BYTEMILL_SIMD` forces a way (`avx512`, `avx2`, `scalar`) where the
//! processor has it, so that each can be tested on one machine. `scalar` is the code without blocks.
//! Where it names no way, no splitter is made.

// Intrinsics are what this file is for: splitting is 4-10 times as fast with them (see docs/benchmarks.md).
#![allow(unsafe_code)]
// Each method is one or two instructions of the loop over blocks.
#![allow(clippy::inline_always)]

use crate::error::{Error, Result};
use std::sync::LazyLock;

/// How many bytes a block has.
pub(super) const LANES: usize = 64;

/// Bytes of a block; each answer has one bit a byte, the first byte's lowest.
pub(super) trait Lanes: Copy {
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

/// What to use for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Scalar,
}

/// The best way that this processor has and the environment allows, found once.
pub(super) static WAY: LazyLock<Way> = LazyLock::new(|| Way::best(&FORCED));

/// What the environment forces, read once; nothing is forced by nothing.
static FORCED: LazyLock<String> =
    LazyLock::new(|| std::env::var_os("BYTEMILL_SIMD").unwrap_or_default().to_string_lossy().to_lowercase());

/// Refuses an environment that asks for a way there is on no processor.
pub(super) fn check_environment() -> Result<()> {
    check(&FORCED)
}

fn check(forced: &str) -> Result<()> {
    if ["", "avx512", "avx2", "scalar"].contains(&forced) {
        return Ok(());
    }
    let expected = "avx512, avx2, scalar or nothing".to_owned();
    Err(Error::Argument { name: "BYTEMILL_SIMD", got: format!("{forced:?}"), expected })
}

#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

#[cfg(not(target_arch = "x86_64"))]
impl Way {
    /// Every way that this processor has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        vec![Self::Scalar]
    }

    fn best(_: &str) -> Self {
        Self::Scalar
    }
}

#[cfg(target_arch = "x86_64")]
impl Way {
    /// Every way that this processor has, the best first.
    pub(super) fn all() -> Vec<Self> {
        let bits = is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        let mut ways = Vec::new();
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi2");
        if bits && wide {
            ways.push(Self::Avx512);
        }
        if bits && is_x86_feature_detected!("avx2") {
            ways.push(Self::Avx2);
        }
        ways.push(Self::Scalar);
        ways
    }

    fn best(forced: &str) -> Self {
        let ways = Self::all();
        let named = |way: &&Self| format!("{way:?}").eq_ignore_ascii_case(forced);
        *ways.iter().find(named).unwrap_or(&ways[0])
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LANES, Lanes};
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8, _mm256_movemask_epi8,
        _mm256_set1_epi8, _mm256_sub_epi8, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512,
        _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_storeu_si512, _mm512_sub_epi8,
    };

    /// 0 to 63.
    const NUMBERS: [u8; LANES] = {
        let mut numbers = [0; LANES];
        let mut number = 0;
        while number < LANES {
            numbers[number] = number as u8;
            number += 1;
        }
        numbers
    };

    /// One register of 64 bytes. Made only where `Way::all` has found AVX-512 F, BW and VBMI2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx512(__m512i);

    impl Lanes for Avx512 {
        #[inline(always)]
        fn load(bytes: &[u8; LANES]) -> Self {
            // SAFETY: 64 bytes are readable there, at any alignment; the processor has AVX-512 F.
            Self(unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            // SAFETY: the processor has AVX-512 BW.
            unsafe { _mm512_cmpeq_epi8_mask(self.0, _mm512_set1_epi8(byte.cast_signed())) }
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            // SAFETY: the processor has AVX-512 BW.
            unsafe {
                let offset = _mm512_sub_epi8(self.0, _mm512_set1_epi8(first.cast_signed()));
                _mm512_cmple_epu8_mask(offset, _mm512_set1_epi8((last - first).cast_signed()))
            }
        }

        #[inline(always)]
        fn places(bits: u64) -> [u8; LANES] {
            let mut places = [0; LANES];
            // SAFETY: 64 bytes are readable and writable there; the processor has AVX-512 VBMI2.
            unsafe {
                let packed = _mm512_maskz_compress_epi8(bits, _mm512_loadu_si512(NUMBERS.as_ptr().cast()));
                _mm512_storeu_si512(places.as_mut_ptr().cast(), packed);
            }
            places
        }
    }

    /// Two registers of 32 bytes. Made only where `Way::all` has found AVX2.
    #[derive(Clone, Copy)]
    pub(in super::super) struct Avx2([__m256i; 2]);

    impl Avx2 {
        /// The highest bits of the bytes of two registers.
        #[inline(always)]
        fn bits(low: __m256i, high: __m256i) -> u64 {
            // SAFETY: the processor has AVX2.
            let (low, high) = unsafe { (_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)) };
            u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
        }
    }

    // Closures would be functions of their own, without the features of their caller; so there are none.
    impl Lanes for Avx2 {
        #[inline(always)]
        fn load(bytes: &[u8; LANES]) -> Self {
            let start = bytes.as_ptr();
            // SAFETY: 64 bytes are readable there, at any alignment; the processor has AVX2.
            Self(unsafe { [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())] })
        }

        #[inline(always)]
        fn equal(self, byte: u8) -> u64 {
            let [low, high] = self.0;
            // SAFETY: the processor has AVX2.
            unsafe {
                let byte = _mm256_set1_epi8(byte.cast_signed());
                Self::bits(_mm256_cmpeq_epi8(low, byte), _mm256_cmpeq_epi8(high, byte))
            }
        }

        #[inline(always)]
        fn within(self, first: u8, last: u8) -> u64 {
            let [low, high] = self.0;
            // SAFETY: the processor has AVX2.
            unsafe {
                let first_byte = _mm256_set1_epi8(first.cast_signed());
                let largest = _mm256_set1_epi8((last - first).cast_signed());
                let (low, high) = (_mm256_sub_epi8(low, first_byte), _mm256_sub_epi8(high, first_byte));
                Self::bits(
                    _mm256_cmpeq_epi8(_mm256_max_epu8(low, largest), largest),
                    _mm256_cmpeq_epi8(_mm256_max_epu8(high, largest), largest),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_way_that_is_none_is_refused_and_named() {
        for way in Way::all() {
            let name = format!("{way:?}").to_lowercase();
            check(&name).unwrap();
            assert_eq!(Way::best(&name), way);
        }
        check("").unwrap();
        assert_eq!(
            check("sse2").unwrap_err().to_string(),
            "BYTEMILL_SIMD is \"sse2\", expected avx512, avx2, scalar or nothing"
        );
    }
}
