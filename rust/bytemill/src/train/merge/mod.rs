//! Word counts to merges: the most frequent pair is merged everywhere, again and again.
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
