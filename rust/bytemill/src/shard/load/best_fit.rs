//! Rows of whole documents: the longest document that fits goes first, and a document is split only if none fits.
//!
//! This is best-fit bin packing without dropped tokens and without padding: the rest of a split document waits for a
//! later row. So every token is an input once per epoch, with the token that follows it in the data as its target.
//! A plan packs the tokens of 1,024 rows (a window in docs/formats.md) into these rows, and is made when a row of it is
//! first used, from the starts of the documents. So plans are a pure function of data and row length, and progress is
//! one integer here too.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::error::Result;
use crate::interrupt;
use crate::shard::read::tokens::Tokens;

/// Rows per plan, if their tokens can be counted in 31 bits.
const PLAN_ROWS: u64 = 1_024;
const MAX_PLAN_TOKENS: u64 = 1 << 31;

/// Contiguous inputs within a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Position of the first input in the data.
    pub(super) start: u64,
    /// Number of inputs.
    pub(super) n: u64,
}

/// The plans for all rows of a source.
#[derive(Clone, Debug)]
pub(super) struct BestFit {
    t: u64,
    n_rows: u64,
    plans: Vec<OnceLock<Plan>>,
}

/// The pieces of some rows, 8 bytes per piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Of each piece, its start, counted from the plan's first token, and its length.
    pieces: Vec<(u32, u32)>,
    /// End of each row in `pieces`.
    row_ends: Vec<u32>,
}

impl BestFit {
    /// Prepare to plan a source's `n_rows` rows of `t` tokens; this reads nothing.
    pub(in crate::shard) fn new(n_rows: u64, t: u64) -> Self {
        let mut best_fit = Self { t, n_rows, plans: Vec::new() };
        best_fit.plans.resize_with(n_rows.div_ceil(best_fit.plan_rows()) as usize, OnceLock::new);
        best_fit
    }

    fn plan_rows(&self) -> u64 {
        PLAN_ROWS.min(MAX_PLAN_TOKENS / self.t).max(1)
    }

    /// Append the pieces of `row`, in their order, to `pieces`.
    pub(in crate::shard) fn row(&self, row: u64, tokens: &Tokens, pieces: &mut Vec<Piece>) -> Result<()> {
        let (number, row) = (row / self.plan_rows(), (row % self.plan_rows()) as usize);
        let first = number * self.plan_rows() * self.t;
        let plan = self.plan(number, tokens)?;
        let begin = row.checked_sub(1).map_or(0, |before| plan.row_ends[before]);
        let of_row = &plan.pieces[begin as usize..plan.row_ends[row] as usize];
        pieces.extend(of_row.iter().map(|&(start, n)| Piece { start: first + u64::from(start), n: n.into() }));
        Ok(())
    }

    /// Plan all rows and return the maximum number of pieces in a row.
    pub(super) fn most_pieces(&self, tokens: &Tokens) -> Result<usize> {
        let (mut pieces, mut most) = (Vec::new(), 1);
        for row in 0..self.n_rows {
            pieces.clear();
            self.row(row, tokens, &mut pieces)?;
            most = most.max(pieces.len());
        }
        Ok(most)
    }

    /// Return plan `number`; make it if it is new.
    fn plan(&self, number: u64, tokens: &Tokens) -> Result<&Plan> {
        let planned = &self.plans[number as usize];
        if let Some(plan) = planned.get() {
            return Ok(plan);
        }
        interrupt::check();
        let first_row = number * self.plan_rows();
        let n_tokens = (self.n_rows - first_row).min(self.plan_rows()) * self.t;
        let first = first_row * self.t;
        let mut starts = Vec::new();
        tokens.for_each_start(first..first + n_tokens + 1, |start| starts.push((start - first) as u32))?;
        let new = plan(&starts, n_tokens as u32, self.t as u32);
        Ok(planned.get_or_init(|| new))
    }
}

/// Pack `n_tokens` into rows of `t`. Documents begin at `starts`; the last may begin directly after the tokens.
fn plan(starts: &[u32], n_tokens: u32, t: u32) -> Plan {
    let mut waiting = Waiting::new(starts, n_tokens, t);
    let mut plan = Plan::default();
    for _ in 0..n_tokens / t {
        let mut room = t;
        while room > 0 {
            let piece = waiting.next(room);
            plan.pieces.push(piece);
            room -= piece.1;
        }
        plan.row_ends.push(plan.pieces.len() as u32);
    }
    plan
}

/// Pieces by (length, start). They are taken from the end: the longest, and of equal lengths the first in the data,
/// which `Reverse` puts last.
type ByLength = BTreeSet<(u32, Reverse<u32>)>;

/// Pieces without a row.
struct Waiting {
    /// Documents that fit into a row.
    whole: ByLength,
    /// All others: documents longer than a row, parts of those that cross the plan's ends, and the rest of split pieces.
    loose: ByLength,
}

impl Waiting {
    fn new(starts: &[u32], n_tokens: u32, t: u32) -> Self {
        let mut waiting = Self { whole: ByLength::new(), loose: ByLength::new() };
        let inner = starts.iter().copied().filter(|&start| 0 < start && start < n_tokens);
        let bounds: Vec<u32> = [0].into_iter().chain(inner).chain([n_tokens]).collect();
        for pair in bounds.windows(2) {
            let (start, n) = (pair[0], pair[1] - pair[0]);
            let is_whole = n <= t && starts.binary_search(&start).is_ok() && starts.binary_search(&pair[1]).is_ok();
            let pieces = if is_whole { &mut waiting.whole } else { &mut waiting.loose };
            pieces.insert((n, Reverse(start)));
        }
        waiting
    }

    /// Return the next piece for a row with `room` left, as (start, length); there must be at least `room` tokens.
    fn next(&mut self, room: u32) -> (u32, u32) {
        let fitting = |pieces: &ByLength| pieces.range(..=(room, Reverse(0))).next_back().copied();
        let (n, Reverse(start)) = if let Some(piece) = fitting(&self.whole) {
            self.whole.remove(&piece);
            piece
        } else if let Some(piece) = fitting(&self.loose) {
            self.loose.remove(&piece);
            piece
        } else {
            // Split the longest loose piece, or else the shortest whole document.
            let longer = self.loose.pop_last().or_else(|| self.whole.pop_first());
            let (n, Reverse(start)) = longer.unwrap_or((room, Reverse(0)));
            debug_assert!(n > room, "{n} tokens for {room}");
            self.loose.insert((n - room, Reverse(start + room)));
            (room, Reverse(start))
        };
        (start, n)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn rows(starts: &[u32], n_tokens: u32, t: u32) -> Vec<Vec<(u32, u32)>> {
        let plan = plan(starts, n_tokens, t);
        let begins = [0].into_iter().chain(plan.row_ends.iter().copied());
        begins.zip(&plan.row_ends).map(|(from, &to)| plan.pieces[from as usize..to as usize].to_vec()).collect()
    }

    #[test]
    fn the_longest_that_fits_goes_first_and_what_is_cut_off_waits() {
        // Documents of 6, 3, 4, 2 and 5; the last one is truncated by the end of the plan.
        assert_eq!(rows(&[0, 6, 9, 13, 15], 20, 10), [vec![(0, 6), (9, 4)], vec![(6, 3), (13, 2), (15, 5)]]);
        // A document longer than a row is split first, so that no other is split; of equal lengths the first goes
        // first.
        assert_eq!(rows(&[0, 14, 17, 20], 20, 10), [vec![(14, 3), (17, 3), (0, 4)], vec![(4, 10)]]);
        // If none fits and none is split already, the shortest is split.
        assert_eq!(rows(&[0, 7, 14, 20], 20, 10), [vec![(0, 7), (14, 3)], vec![(7, 7), (17, 3)]]);
    }

    proptest! {
        #[test]
        fn every_token_has_one_place_and_whole_documents_stay_whole_where_they_can(
            lengths in prop::collection::vec(1_u32..30, 0..40), t in 1_u32..20, offset in 0_u32..10,
        ) {
            let mut starts: Vec<u32> = lengths.iter().scan(offset, |at, n| { let start = *at; *at += n; Some(start) }).collect();
            let end = offset + lengths.iter().sum::<u32>();
            starts.push(end);
            let n_tokens = end / t * t;
            starts.retain(|&start| start <= n_tokens);
            let rows = rows(&starts, n_tokens, t);
            prop_assert!(rows.iter().all(|row| row.iter().map(|piece| piece.1).sum::<u32>() == t));
            let mut pieces = rows.concat();
            pieces.sort_unstable();
            let mut next = 0;
            for &(start, n) in &pieces {
                prop_assert_eq!(start, next);
                prop_assert!(n > 0 && starts.iter().all(|&other| other <= start || start + n <= other));
                next = start + n;
            }
            prop_assert_eq!(next, n_tokens);
        }
    }
}
