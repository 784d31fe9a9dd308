//! Rows of whole documents: the longest document that fits goes first, and a document is split only if none fits.
//!
//! This is best-fit bin packing without dropped tokens and without padding: the rest of a split document waits for a
//! later row. So every token is an input once per epoch, with the token that follows it in the data as its target.
//! Windows of 1,024 rows are planned separately, when first used, from the starts of their documents. So the plan is a
//! pure function of data and row length, and progress is one integer here too.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use crate::error::Result;
use crate::interrupt;
use crate::shard::read::tokens::Tokens;

/// Rows per plan, if their tokens can be counted in 31 bits.
const WINDOW_ROWS: u64 = 1_024;
const MAX_WINDOW_TOKENS: u64 = 1 << 31;

/// Contiguous inputs within a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Position of the first input in the data; in a window's own list, in the window.
    pub(super) start: u64,
    /// Number of inputs.
    pub(super) n: u64,
}

/// The plan for all rows of a source.
#[derive(Clone, Debug)]
pub(super) struct BestFit {
    t: u64,
    n_rows: u64,
    windows: Vec<OnceLock<Window>>,
}

/// The pieces of some rows, 8 bytes per piece.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Window {
    /// Start in the window, and length, of each piece.
    pieces: Vec<(u32, u32)>,
    /// End of each row in `pieces`.
    row_ends: Vec<u32>,
}

impl BestFit {
    /// Create the plan for a source's `n_rows` rows of `t` tokens; this reads nothing.
    pub(in crate::shard) fn new(n_rows: u64, t: u64) -> Self {
        let mut plan = Self { t, n_rows, windows: Vec::new() };
        plan.windows.resize_with(n_rows.div_ceil(plan.window_rows()) as usize, OnceLock::new);
        plan
    }

    fn window_rows(&self) -> u64 {
        WINDOW_ROWS.min(MAX_WINDOW_TOKENS / self.t).max(1)
    }

    /// Append the pieces of `row`, in their order, to `pieces`.
    pub(in crate::shard) fn row(&self, row: u64, tokens: &Tokens, pieces: &mut Vec<Piece>) -> Result<()> {
        let (number, row) = (row / self.window_rows(), (row % self.window_rows()) as usize);
        let first = number * self.window_rows() * self.t;
        let window = self.window(number, tokens)?;
        let begin = row.checked_sub(1).map_or(0, |before| window.row_ends[before]);
        let of_row = &window.pieces[begin as usize..window.row_ends[row] as usize];
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

    fn window(&self, number: u64, tokens: &Tokens) -> Result<&Window> {
        let planned = &self.windows[number as usize];
        if let Some(window) = planned.get() {
            return Ok(window);
        }
        interrupt::check();
        let first_row = number * self.window_rows();
        let n_tokens = (self.n_rows - first_row).min(self.window_rows()) * self.t;
        let first = first_row * self.t;
        let mut starts = Vec::new();
        tokens.for_each_start(first..first + n_tokens + 1, |start| starts.push((start - first) as u32))?;
        let window = plan(&starts, n_tokens as u32, self.t as u32);
        Ok(planned.get_or_init(|| window))
    }
}

/// Pack the `n_tokens` of a window into rows of `t`. Documents begin at `starts`; the last may begin directly after the
/// window.
fn plan(starts: &[u32], n_tokens: u32, t: u32) -> Window {
    let mut waiting = Waiting::new(starts, n_tokens, t);
    let mut window = Window::default();
    for _ in 0..n_tokens / t {
        let mut room = t;
        while room > 0 {
            let piece = waiting.next(room);
            window.pieces.push(piece);
            room -= piece.1;
        }
        window.row_ends.push(window.pieces.len() as u32);
    }
    window
}

/// Pieces by length; of equal lengths, the first in the data comes last.
type ByLength = BTreeSet<(u32, Reverse<u32>)>;

/// Pieces without a row.
struct Waiting {
    /// Documents that fit into a row.
    whole: ByLength,
    /// Pieces of split documents: longer documents, those that cross the window's ends, and rests.
    rest: ByLength,
}

impl Waiting {
    fn new(starts: &[u32], n_tokens: u32, t: u32) -> Self {
        let mut waiting = Self { whole: ByLength::new(), rest: ByLength::new() };
        let inner = starts.iter().copied().filter(|&start| 0 < start && start < n_tokens);
        let bounds: Vec<u32> = [0].into_iter().chain(inner).chain([n_tokens]).collect();
        for pair in bounds.windows(2) {
            let (start, n) = (pair[0], pair[1] - pair[0]);
            let is_whole = n <= t && starts.binary_search(&start).is_ok() && starts.binary_search(&pair[1]).is_ok();
            let pieces = if is_whole { &mut waiting.whole } else { &mut waiting.rest };
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
        } else if let Some(piece) = fitting(&self.rest) {
            self.rest.remove(&piece);
            piece
        } else {
            // Split a piece of a split document, or else the shortest whole document.
            let longer = self.rest.pop_last().or_else(|| self.whole.pop_first());
            let (n, Reverse(start)) = longer.unwrap_or((room, Reverse(0)));
            debug_assert!(n > room, "{n} tokens for {room}");
            self.rest.insert((n - room, Reverse(start + room)));
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
        let window = plan(starts, n_tokens, t);
        let begins = [0].into_iter().chain(window.row_ends.iter().copied());
        begins.zip(&window.row_ends).map(|(from, &to)| window.pieces[from as usize..to as usize].to_vec()).collect()
    }

    #[test]
    fn the_longest_that_fits_goes_first_and_what_is_cut_off_waits() {
        // Documents of 6, 3, 4, 2 and 5; the last one is truncated by the end of the window.
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
