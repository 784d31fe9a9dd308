//! Compares 64 bytes at the same time, in the registers of each processor.

mod compare;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(super) use compare::{LANES, Lanes};
#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512, has_avx2, has_avx512};
