//! The SIMD backend, chosen at run time: the best that the processor supports.
//!
//! The environment variable `BYTEMILL_SIMD` forces a backend (`avx512`, `avx2`, `neon`, `scalar`) if the processor
//! supports it, so that each can be tested on one machine. If the processor does not support it, the best one is used.
//! Any other value is an error as soon as a splitter is created.

#[cfg(target_arch = "x86_64")]
use super::lanes;
use crate::error::{Error, Result};
use std::sync::LazyLock;

/// The instructions that compare the bytes of a block; `Scalar` is the code without blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Backend {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "aarch64")]
    Neon,
    Scalar,
}

/// The best backend that this processor supports and the environment allows; chosen once.
pub(super) static BACKEND: LazyLock<Backend> = LazyLock::new(|| Backend::best(&FORCED));

/// The backend that the environment forces, read once; an empty value forces none.
static FORCED: LazyLock<String> =
    LazyLock::new(|| std::env::var_os("BYTEMILL_SIMD").unwrap_or_default().to_string_lossy().to_lowercase());

/// Refuse an environment that names an unknown backend.
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

impl Backend {
    /// Return the name that `BYTEMILL_SIMD` uses.
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

    /// Return every backend that this processor supports, the best first.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        let wide = [(lanes::has_avx512(), Self::Avx512), (lanes::has_avx2(), Self::Avx2)];
        #[cfg(target_arch = "x86_64")]
        let wide = wide.into_iter().filter_map(|(is_there, backend)| is_there.then_some(backend));
        #[cfg(target_arch = "aarch64")]
        let wide = [Self::Neon];
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let wide = [];
        wide.into_iter().chain([Self::Scalar]).collect()
    }

    /// Return the backend named by `forced`, or the best one if this processor does not support it.
    fn best(forced: &str) -> Self {
        let backends = Self::all();
        let named = |backend: &&Self| backend.name() == forced;
        *backends.iter().find(named).unwrap_or(&backends[0])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_way_that_is_none_is_refused_and_named() {
        for backend in Backend::all() {
            check(backend.name()).unwrap();
            assert_eq!(Backend::best(backend.name()), backend);
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
        assert_eq!(Backend::best(missing), Backend::all()[0]);
    }
}
