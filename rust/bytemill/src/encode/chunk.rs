//! A batch of lookups: all table entries are prefetched before the first is read.

use super::memory::Short;
use super::table::Lookup;
use crate::hints;
use crate::vocab::{CutPoints, PIECES};
use std::ops::Range;

/// Tokens span nearly all pairs of ASCII characters, so cutting a short ASCII pretoken rarely helps.
const UNCUT_BYTES: usize = 32;

/// The lowest first byte of a character of three or more bytes. Most scripts without spaces use such characters.
const WIDE: u8 = 0xE0;
/// Room for two wide characters (often a word) and one short neighbour.
const FEW_BYTES: usize = 8;

/// Consecutive spans of a text that are looked up together.
pub(super) struct Chunk<const ROOM: usize> {
    lookups: [Lookup<2>; ROOM],
    n: usize,
    /// One bit per span: set if the span is a piece of a pretoken. No token spans the ends of a piece.
    pieces: u128,
    /// Whether the remaining text begins inside a pretoken.
    is_inside: bool,
}

impl<const ROOM: usize> Chunk<ROOM> {
    /// `pieces` has one bit per span.
    const FITS: () = assert!(ROOM <= u128::BITS as usize);

    #[inline]
    pub(super) fn new() -> Self {
        const { Self::FITS };
        Self { lookups: [Lookup::NOTHING; ROOM], n: 0, pieces: 0, is_inside: false }
    }

    /// Return the spans in order.
    #[inline]
    pub(super) fn lookups(&self) -> &[Lookup<2>] {
        &self.lookups[..self.n]
    }

    /// Return whether span `number` is a piece of a pretoken.
    #[inline]
    pub(super) fn is_piece(&self, number: usize) -> bool {
        self.pieces >> number & 1 != 0
    }

    /// Fill the chunk with the pretokens that begin at `start` and end at `ends`, and prefetch their table entries.
    ///
    /// Return the start and the ends that remain. Long pretokens are cut; a part of the last one may remain.
    #[inline]
    pub(super) fn fill<'e>(
        &mut self,
        table: &Short,
        cut_points: &CutPoints,
        text: &str,
        mut start: usize,
        mut ends: &'e [usize],
    ) -> (usize, &'e [usize]) {
        (self.n, self.pieces) = (0, 0);
        while self.n + PIECES <= ROOM && !ends.is_empty() {
            if !self.is_inside {
                let n = self.fill_with_whole(table, text.as_bytes(), start, ends);
                start = n.checked_sub(1).map_or(start, |last| ends[last]);
                ends = &ends[n..];
            }
            if self.n + PIECES <= ROOM
                && let Some((&end, rest)) = ends.split_first()
            {
                start = self.cut(table, cut_points, text, start..end);
                if start == end {
                    ends = rest;
                }
            }
        }
        (start, ends)
    }

    /// Add pretokens up to the first one that should be cut. Return how many were added.
    #[inline]
    fn fill_with_whole(&mut self, table: &Short, text: &[u8], mut start: usize, ends: &[usize]) -> usize {
        let mut n = 0;
        for (place, &end) in self.lookups[self.n..=ROOM - PIECES].iter_mut().zip(ends) {
            if !is_whole(text, start, end) {
                break;
            }
            *place = Lookup::new(text, start, end);
            table.prefetch(place);
            start = end;
            n += 1;
        }
        self.n += n;
        n
    }

    /// Add the first pieces of `text[span]`, the rest of a pretoken. Return the end of the last piece.
    #[inline(never)]
    fn cut(&mut self, table: &Short, cut_points: &CutPoints, text: &str, span: Range<usize>) -> usize {
        let start = span.start;
        if span.len() <= UNCUT_BYTES && !self.is_inside && text.as_bytes()[span.clone()].is_ascii() {
            return self.add(table, text.as_bytes(), start, &[span.end]);
        }
        let mut ends = [0; PIECES];
        let n = cut_points.cut(text, start, span.end, &mut ends);
        if self.is_inside || ends[0] != span.end {
            self.pieces |= ((1 << n) - 1) << self.n;
        }
        let end = self.add(table, text.as_bytes(), span.start, &ends[..n]);
        self.is_inside = end != span.end;
        end
    }

    /// Add all spans that begin at `start` and end at `ends`. Return the end of the last span.
    #[inline]
    fn add(&mut self, table: &Short, text: &[u8], mut start: usize, ends: &[usize]) -> usize {
        for (place, &end) in self.lookups[self.n..].iter_mut().zip(ends) {
            *place = Lookup::new(text, start, end);
            table.prefetch(place);
            start = end;
        }
        self.n += ends.len();
        start
    }
}

/// Return whether to look up the pretoken `text[start..end]` without cutting it.
///
/// Clauses of wide characters are cut because they rarely repeat.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "branches here would be mispredicted")]
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let length = end - start;
    let is_wide = text.get(end.wrapping_sub(3)).is_some_and(|&byte| byte >= WIDE);
    (length <= Short::MOST_BYTES) & !(is_wide & (length > FEW_BYTES))
}

/// Append the ids of `lookups` until one is not in its home bucket of `table`. Return how many were found.
#[inline]
pub(super) fn recall(table: &Short, lookups: &[Lookup<2>], out: &mut Vec<u32>) -> usize {
    hints::reserve(out, lookups.len() * Short::MOST_IDS);
    let start = out.spare_capacity_mut().as_mut_ptr();
    let (mut end, mut n_found) = (start, lookups.len());
    for (number, next) in lookups.iter().enumerate() {
        let Some((ids, n)) = table.at_home(next) else {
            n_found = number;
            break;
        };
        // SAFETY: `reserve` made room for `MOST_IDS` ids for each lookup, and none has more.
        #[allow(unsafe_code)]
        unsafe {
            end.cast::<[[u32; 2]; 2]>().write(ids);
            end = end.add(n);
        }
    }
    // SAFETY: all ids from `start` up to `end` were written.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(out.len() + end.offset_from_unsigned(start));
    }
    n_found
}
