//! Word counts to merges: repeatedly merge the most frequent pair at all its places.
//!
//! ```text
//! Arena (all words as tokens) -> scan: the most frequent pairs, watched -> learn: merge the best, update its neighbours
//! ```

mod arena;
mod budget;
mod hot_pairs;
mod learn;
mod neighbours;
mod pair;
mod pair_table;
mod scan;
mod ties;
mod utf8_safe;

pub(super) use budget::Budget;
pub(super) use learn::learn;
