//! A loader's progress: one integer, and the settings that determine its order.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::options::{LoaderOptions, Packing};
use crate::error::{Error, Result};
use crate::shard::format::header::Split;

const VERSION: u32 = 1;
/// A larger position is damage; the limit leaves room for all sums in the loader.
const MAX_POSITION: u64 = 1 << 60;

/// The data needed to continue a stopped run, with any number of ranks and threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoaderState {
    /// Version of the meaning of these fields, 1.
    pub version: u32,
    /// Samples taken by all ranks together.
    pub position: u64,
    /// Random seed of the order.
    pub seed: u64,
    /// Input tokens per sample.
    pub seq_len: u64,
    /// How documents become samples.
    pub packing: Packing,
    /// Whether samples are permuted.
    pub shuffle: bool,
    /// The split that is read.
    pub split: Split,
    /// Slots of each source in a period of 4,096.
    pub mixture: Vec<u32>,
    /// Root hash of the data.
    pub manifest_root: String,
}

impl LoaderState {
    /// Create the state at the start of the order given by the options, the slots of a mixture, and the data's hash.
    pub(in crate::shard) fn new(options: &LoaderOptions, mixture: Vec<u32>, manifest_root: String) -> Self {
        let LoaderOptions { seed, packing, shuffle, split, .. } = *options;
        let (version, seq_len) = (VERSION, options.seq_len as u64);
        Self { version, position: 0, seed, seq_len, packing, shuffle, split, mixture, manifest_root }
    }

    /// Return an error if `saved` differs in anything except the position.
    pub(in crate::shard) fn check(&self, saved: &Self) -> Result<()> {
        same("version", &saved.version, &self.version)?;
        same("manifest_root", &saved.manifest_root, &self.manifest_root)?;
        same("seed", &saved.seed, &self.seed)?;
        same("seq_len", &saved.seq_len, &self.seq_len)?;
        same("packing", &saved.packing, &self.packing)?;
        same("shuffle", &saved.shuffle, &self.shuffle)?;
        same("split", &saved.split, &self.split)?;
        same("mixture", &saved.mixture, &self.mixture)?;
        if saved.position > MAX_POSITION {
            let expected = format!("at most {MAX_POSITION}");
            return Err(Error::Argument { name: "position", got: saved.position.to_string(), expected });
        }
        Ok(())
    }
}

fn same<T: PartialEq + Debug>(name: &'static str, saved: &T, own: &T) -> Result<()> {
    if saved == own {
        return Ok(());
    }
    let (saved, own) = (format!("{saved:?}").to_lowercase(), format!("{own:?}").to_lowercase());
    Err(Error::Argument { name, got: format!("{saved} in the saved state"), expected: format!("this loader's {own}") })
}
