//! What merging may keep in memory: so much for watched pairs, so much for counting them.
//!
//! The arena must be there in any case. What a limit leaves beside it decides how many pairs are
//! watched at once and how many are counted at once; both only cost time, never a merge.

use super::arena::{BATCH_PAIRS, RUN_BYTES, Slot, n_slots};
use super::hot_pairs::Size;
use super::neighbours::Neighbours;
use super::pair_table::PairTable;
use crate::error::{Error, Result};
use crate::train::count::WordCounts;
use crate::train::options::{Merge, Options, Ties};

/// With less than this beside the arena there would be more scanning than merging.
const LEAST_BYTES: usize = 4 << 20;

/// The most ids that there can be, `n_base` of them merges to begin with: a new one needs a place of its own.
pub(super) fn n_ids(counts: &WordCounts, n_base: usize, options: &Options) -> usize {
    256 + n_base + options.n_merges.saturating_sub(n_base).min(n_slots(counts))
}

/// Limits in bytes of memory, or in pairs.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Budget {
    /// What the pairs watched after a scan may take; one pair is watched in any case.
    pub(in crate::train) watched_bytes: usize,
    /// What pairs made since may take with them before all is scanned anew.
    pub(in crate::train) most_watched_bytes: usize,
    /// How many pairs a scan may count at once, and a batch more.
    pub(in crate::train) counted_pairs: usize,
    /// What sorting words from disk may take.
    pub(in crate::train) sort_bytes: usize,
}

impl Budget {
    /// The budget for merging `counts`, after `n_base` merges, as `options` say; fails when not even the arena fits.
    pub(in crate::train) fn new(counts: &WordCounts, n_base: usize, options: &Options) -> Result<Self> {
        let Some(limit) = options.max_memory else { return Ok(Self::unlimited(counts)) };
        let ids = n_ids(counts, n_base, options);
        let arena = n_slots(counts) * if ids <= u16::MOST_IDS { size_of::<u16>() } else { size_of::<u32>() };
        let runs = if options.ties == Ties::FirstSeen { counts.len() * RUN_BYTES } else { 0 };
        let fixed = arena + arena / 32 + runs + counts.memory() + ids * (2 * Neighbours::ID_BYTES + size_of::<Merge>());
        // The most frequent pair is watched whatever it takes, its places and those of its neighbours: up to
        // as much as the arena.
        let least = 2 * fixed + LEAST_BYTES;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let Some(spare) = limit.checked_sub(fixed).filter(|_| limit >= least) else {
            return Err(Error::Argument {
                name: "max_memory",
                got: limit.to_string(),
                expected: format!(
                    "at least {least} for {} distinct pretokens of {} bytes in all",
                    counts.len(),
                    counts.n_bytes()
                ),
            });
        };
        Ok(Self {
            watched_bytes: spare / 6,
            most_watched_bytes: spare / 3,
            counted_pairs: PairTable::<Size>::most_pairs(spare / 4 * 3).saturating_sub(BATCH_PAIRS),
            sort_bytes: spare / 2,
        })
    }

    /// As much for watched pairs as for an arena of 16-bit slots: some four scans, and few places that never
    /// come to be merged.
    fn unlimited(counts: &WordCounts) -> Self {
        Self {
            watched_bytes: (n_slots(counts) * size_of::<u16>()).max(8 << 20),
            most_watched_bytes: usize::MAX,
            counted_pairs: usize::MAX,
            sort_bytes: 64 << 20,
        }
    }
}
