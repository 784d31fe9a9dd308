//! The spans that are looked for together: each is asked from memory before the first of them is looked at.

use super::memory::Short;
use super::table::Lookup;
use crate::hints;
use crate::vocab::{CutPoints, PIECES};
use std::ops::Range;

/// Tokens bridge nearly all pairs of ASCII characters, so that cutting a short pretoken of them is seldom a gain.
const UNCUT_BYTES: usize = 32;

/// The first byte of a character of three bytes or more: those of most scripts without spaces.
const WIDE: u8 = 0xE0;
/// Two wide characters, often a word, and something beside them.
const FEW_BYTES: usize = 8;

/// Spans of a text one behind the other, to be looked for together.
pub(super) struct Chunk<const ROOM: usize> {
    wanted: [Lookup<2>; ROOM],
    n: usize,
    /// A bit for each that is a piece of a pretoken, which nothing bridges to what is beside it.
    pieces: u128,
    /// Whether what is left begins inside a pretoken.
    is_inside: bool,
}

impl<const ROOM: usize> Chunk<ROOM> {
    /// There is a bit of `pieces` for each span.
    const FITS: () = assert!(ROOM <= u128::BITS as usize);

    #[inline]
    pub(super) fn new() -> Self {
        const { Self::FITS };
        Self { wanted: [Lookup::NOTHING; ROOM], n: 0, pieces: 0, is_inside: false }
    }

    /// The spans, in order.
    #[inline]
    pub(super) fn lookups(&self) -> &[Lookup<2>] {
        &self.wanted[..self.n]
    }

    /// Whether the span `number` is only a piece of a pretoken.
    #[inline]
    pub(super) fn is_piece(&self, number: usize) -> bool {
        self.pieces >> number & 1 != 0
    }

    /// Takes as many of the pretokens that begin at `start` and end at `ends` as there is room for, and
    /// asks for their places in memory; what is left. Long ones are cut, of the last one perhaps a part is left.
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

    /// Takes pretokens, those that begin at `start` and end at `ends`, up to the first that is better cut; how many.
    #[inline]
    fn fill_with_whole(&mut self, table: &Short, text: &[u8], mut start: usize, ends: &[usize]) -> usize {
        let mut n = 0;
        for (place, &end) in self.wanted[self.n..=ROOM - PIECES].iter_mut().zip(ends) {
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

    /// Takes the first pieces of the rest of a pretoken, `text[span]`; where the last of them ends.
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

    /// Takes all spans that begin at `start` and end at `ends`; where the last of them ends.
    #[inline]
    fn add(&mut self, table: &Short, text: &[u8], mut start: usize, ends: &[usize]) -> usize {
        for (place, &end) in self.wanted[self.n..].iter_mut().zip(ends) {
            *place = Lookup::new(text, start, end);
            table.prefetch(place);
            start = end;
        }
        self.n += ends.len();
        start
    }
}

/// Whether the pretoken `text[start..end]` is better looked for as it is than cut: a clause of wide characters
/// seldom comes twice.
#[inline]
#[expect(clippy::needless_bitwise_bool, reason = "branches here would have to be guessed")]
fn is_whole(text: &[u8], start: usize, end: usize) -> bool {
    let length = end - start;
    let is_wide = text.get(end.wrapping_sub(3)).is_some_and(|&byte| byte >= WIDE);
    (length <= Short::MOST_BYTES) & !(is_wide & (length > FEW_BYTES))
}

/// Appends the ids of all that is `wanted`, up to the first that is not at home in `table`; of how many.
#[inline]
pub(super) fn recall(table: &Short, wanted: &[Lookup<2>], out: &mut Vec<u32>) -> usize {
    hints::reserve(out, wanted.len() * Short::MOST_IDS);
    let start = out.spare_capacity_mut().as_mut_ptr();
    let (mut end, mut n_found) = (start, wanted.len());
    for (number, next) in wanted.iter().enumerate() {
        let Some((ids, n)) = table.at_home(next) else {
            n_found = number;
            break;
        };
        // SAFETY: `reserve` made room for `MOST_IDS` ids for each that is wanted, and none has more.
        #[allow(unsafe_code)]
        unsafe {
            end.cast::<[[u32; 2]; 2]>().write(ids);
            end = end.add(n);
        }
    }
    // SAFETY: ids were written one behind the other up to `end`.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(out.len() + end.offset_from_unsigned(start));
    }
    n_found
}
