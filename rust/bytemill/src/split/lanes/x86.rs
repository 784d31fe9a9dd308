//! Blocks in x86 registers: one of AVX-512 or two of AVX2.

// The purpose of this file is to use intrinsics: splitting is several times as fast with them.
#![allow(unsafe_code)]
// Each method is one or two instructions of the loop over blocks.
#![allow(clippy::inline_always)]

use super::compare::{LANES, Lanes};
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_max_epu8, _mm256_movemask_epi8, _mm256_set1_epi8,
    _mm256_sub_epi8, _mm512_cmpeq_epi8_mask, _mm512_cmple_epu8_mask, _mm512_loadu_si512, _mm512_maskz_compress_epi8,
    _mm512_set1_epi8, _mm512_storeu_si512, _mm512_sub_epi8,
};

/// Return whether this processor has the features for [`Avx512`].
pub(in super::super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && has_bit_instructions()
}

/// Return whether this processor has the features for [`Avx2`].
pub(in super::super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && has_bit_instructions()
}

fn has_bit_instructions() -> bool {
    is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

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

/// One register of 64 bytes. Only created if [`has_avx512`] returns true.
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

/// Two registers of 32 bytes. Only created if [`has_avx2`] has found AVX2.
#[derive(Clone, Copy)]
pub(in super::super) struct Avx2([__m256i; 2]);

impl Avx2 {
    /// Return the highest bits of the bytes of two registers.
    #[inline(always)]
    fn bits(low: __m256i, high: __m256i) -> u64 {
        // SAFETY: the processor has AVX2.
        let (low, high) = unsafe { (_mm256_movemask_epi8(low), _mm256_movemask_epi8(high)) };
        u64::from(low.cast_unsigned()) | u64::from(high.cast_unsigned()) << 32
    }
}

// Closures would be functions of their own, without the features of their caller, so none are used.
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
