//! 64 bytes compared at once: what the processor offers, chosen at run time.
//!
//! The environment variable `BYTEMILL_SIMD` forces a way (`avx512`, `avx2`, `neon`, `scalar`) where the
//! processor has it, so that each can be tested on one machine; elsewhere the best way is taken. `scalar` is
//! the code without blocks. Where it names no way, no splitter is made.

// The one method here is a part of the loop over blocks.
#![allow(clippy::inline_always)]

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod x86;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::Neon;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

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
    #[cfg(target_arch = "aarch64")]
    Neon,
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
    if ["", "avx512", "avx2", "neon", "scalar"].contains(&forced) {
        return Ok(());
    }
    let expected = "avx512, avx2, neon, scalar or nothing".to_owned();
    Err(Error::Argument { name: "BYTEMILL_SIMD", got: format!("{forced:?}"), expected })
}

impl Way {
    /// As `BYTEMILL_SIMD` names it.
    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
            #[cfg(target_arch = "aarch64")]
            Self::Neon => "neon",
            Self::Scalar => "scalar",
        }
    }

    /// Every way that this processor has, the best first.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = x86::ways();
        #[cfg(target_arch = "aarch64")]
        let wide = [Self::Neon];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let wide = [];
        wide.into_iter().chain([Self::Scalar]).collect()
    }

    /// What `forced` names, or the best there is where that is missing here.
    fn best(forced: &str) -> Self {
        let ways = Self::all();
        let named = |way: &&Self| way.name() == forced;
        *ways.iter().find(named).unwrap_or(&ways[0])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_way_that_is_none_is_refused_and_named() {
        for way in Way::all() {
            check(way.name()).unwrap();
            assert_eq!(Way::best(way.name()), way);
        }
        check("").unwrap();
        assert_eq!(
            check("sse2").unwrap_err().to_string(),
            "BYTEMILL_SIMD is \"sse2\", expected avx512, avx2, neon, scalar or nothing"
        );
    }

    #[test]
    fn a_way_that_the_processor_lacks_leaves_the_best() {
        let missing = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
        check(missing).unwrap();
        assert_eq!(Way::best(missing), Way::all()[0]);
    }
}
