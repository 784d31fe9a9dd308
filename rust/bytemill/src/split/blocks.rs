//! Pretokens found 64 bytes at a time: classes as bit masks, a pretoken's start as algebra on them.
//!
//! Each block begins where a pretoken begins, and no pattern looks back across such a place, so
//! blocks carry no state: what a block cannot decide is left to the next one, which begins at the
//! last start that is certain. Where a pretoken is longer than a block, or is made of what the algebra
//! leaves out (see `Starts`), the code for single characters finds its end.

// Each of these is a part of the loop over blocks, compiled once for each way of comparing bytes.
#![allow(clippy::inline_always)]
// Calling code for what `Way::all` has found takes `unsafe`, which is recorded in `lanes`.
#![allow(unsafe_code)]

use super::known::Rule;
use super::lanes::{LANES, Lanes, WAY, Way};
use super::unicode::{BLANK, LOWER, NEWLINE, NUMBER, OTHER, Reader, Set, UNCASED, UPPER};
use super::{BATCH, cl100k, gpt2, o200k};
use crate::hints;

#[cfg(target_arch = "aarch64")]
use super::lanes::Neon;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};

/// Writes the ends of the pretokens from `start` on, as many as there is room for; how many these are.
pub(super) fn fill(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_by(*WAY, rule, text, start, ends)
}

/// As [`fill`], in a certain way.
pub(super) fn fill_by(way: Way, rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    match way {
        // SAFETY: a `Way` is only made where the processor has what it stands for.
        #[cfg(target_arch = "x86_64")]
        Way::Avx512 => unsafe { fill_avx512(rule, text, start, ends) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Way::Avx2 => unsafe { fill_avx2(rule, text, start, ends) },
        // NEON needs no function of its own: all code for this target may use it.
        #[cfg(target_arch = "aarch64")]
        Way::Neon => fill_with::<Neon>(rule, text, start, ends),
        Way::Scalar => fill_singly(rule, text, start, ends),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx512(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_with::<Avx512>(rule, text, start, ends)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx2(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_with::<Avx2>(rule, text, start, ends)
}

#[inline(always)]
fn fill_with<L: Lanes>(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    match rule {
        Rule::Gpt2 => fill_blocks::<L>(rule, text, start, ends, gpt2::starts),
        Rule::Cl100k(rules) => fill_blocks::<L>(rule, text, start, ends, |block| cl100k::starts(rules, block)),
        Rule::O200k => fill_blocks::<L>(rule, text, start, ends, o200k::starts),
    }
}

#[inline(always)]
fn fill_blocks<L: Lanes>(
    rule: Rule,
    text: &str,
    mut start: usize,
    ends: &mut [usize; BATCH],
    starts: impl Fn(&Block<L>) -> Starts,
) -> usize {
    let reader = Reader::new(text);
    let mut n = 0;
    while start < text.len()
        && let Some(room) = ends[n..].first_chunk_mut()
    {
        hints::soon(text.as_bytes(), start + AHEAD_BYTES);
        let mut padded = [PADDING; LANES];
        let bytes = block_at(text, start, &mut padded);
        let found = starts(&Block::new(L::load(bytes), reader, start)).certain();
        if found == 0 {
            start = end(rule, reader, start);
            room[0] = start;
            n += 1;
        } else {
            n += write_places::<L>(found, start, room);
            start += 63 - found.leading_zeros() as usize;
        }
    }
    n
}

/// Text is asked from memory so far ahead: between blocks so much else is looked at that the processor does not see
/// by itself what comes next.
const AHEAD_BYTES: usize = 1024;

/// White space: whether it reaches the end of a block or the end of the text, what depends on that is left open.
const PADDING: u8 = b' ';

/// The 64 bytes of `text` from `start` on; where there are fewer, in `padded`.
#[inline(always)]
fn block_at<'t>(text: &'t str, start: usize, padded: &'t mut [u8; LANES]) -> &'t [u8; LANES] {
    let rest = &text.as_bytes()[start..];
    rest.first_chunk().unwrap_or_else(|| {
        padded[..rest.len()].copy_from_slice(rest);
        padded
    })
}

/// Writes `start` and the number of each of `bits`, in order; how many these are.
#[inline(always)]
fn write_places<L: Lanes>(bits: u64, start: usize, out: &mut [usize; LANES]) -> usize {
    let (n, places) = (bits.count_ones() as usize, L::places(bits));
    for (done, (group, places)) in out.as_chunks_mut::<GROUP>().0.iter_mut().zip(places.as_chunks().0).enumerate() {
        if done * GROUP >= n {
            break;
        }
        let places: &[u8; GROUP] = places;
        for (place, offset) in group.iter_mut().zip(places) {
            *place = start + usize::from(*offset);
        }
    }
    n
}

/// So many places are written at once, whether there are as many or not: most blocks have no more.
const GROUP: usize = 16;

/// Character by character.
fn fill_singly(rule: Rule, text: &str, mut start: usize, ends: &mut [usize; BATCH]) -> usize {
    let reader = Reader::new(text);
    let mut n = 0;
    while n < BATCH && start < text.len() {
        start = end(rule, reader, start);
        ends[n] = start;
        n += 1;
    }
    n
}

#[inline]
fn end(rule: Rule, text: Reader, start: usize) -> usize {
    match rule {
        Rule::Gpt2 => gpt2::end(text, start),
        Rule::Cl100k(rules) => cl100k::end(rules, text, start),
        Rule::O200k => o200k::end(text, start),
    }
}

/// 64 bytes of text that begin with a pretoken, as masks of one bit a byte.
pub(super) struct Block<L> {
    lanes: L,
    /// The bytes of characters of each class, in the order of the classes' bits.
    classes: [u64; 8],
    /// The bytes of characters of more than one byte, and those of them that are not the first.
    pub(super) beyond_ascii: u64,
    pub(super) continuation: u64,
    /// Space, apostrophe, slash.
    pub(super) space: u64,
    pub(super) quote: u64,
    pub(super) slash: u64,
}

impl<L: Lanes> Block<L> {
    #[inline(always)]
    fn new(lanes: L, text: Reader, start: usize) -> Self {
        let space = lanes.equal(b' ');
        let newline = lanes.equal(b'\n') | lanes.equal(b'\r');
        let blank = space | lanes.within(b'\t', b'\r') & !newline;
        let (upper, lower) = (lanes.within(b'A', b'Z'), lanes.within(b'a', b'z'));
        let number = lanes.within(b'0', b'9');
        let beyond_ascii = lanes.within(0x80, 0xFF);
        let other = !(blank | newline | number | upper | lower | beyond_ascii);
        let mut classes = [0; 8];
        let ascii =
            [(OTHER, other), (BLANK, blank), (NEWLINE, newline), (NUMBER, number), (UPPER, upper), (LOWER, lower)];
        for (class, mask) in ascii {
            classes[class.trailing_zeros() as usize] = mask;
        }
        let mut continuation = 0;
        if beyond_ascii != 0 {
            continuation = lanes.within(0x80, 0xBF);
            let (ideographs, punctuation) = (ideographs(lanes), wide_punctuation(lanes));
            let others = look_up(text, start, beyond_ascii & !continuation & !(ideographs | punctuation));
            for (class, others) in classes.iter_mut().zip(others) {
                *class |= others;
            }
            classes[UNCASED.trailing_zeros() as usize] |= ideographs | ideographs << 1 | ideographs << 2;
            classes[OTHER.trailing_zeros() as usize] |= punctuation | punctuation << 1 | punctuation << 2;
        }
        let (quote, slash) = (lanes.equal(b'\''), lanes.equal(b'/'));
        Self { lanes, classes, beyond_ascii, continuation, space, quote, slash }
    }

    /// The bytes of characters in `set`.
    #[inline(always)]
    pub(super) fn of(&self, set: Set) -> u64 {
        let mut bytes = 0;
        for (class, mask) in self.classes.iter().enumerate() {
            if set >> class & 1 != 0 {
                bytes |= mask;
            }
        }
        bytes
    }

    /// Of `quotes`, those that begin contractions: `'s 'd 'm 't` (two bytes), `'ll 've 're` and `'ſ` (three).
    ///
    /// What lies beyond the block counts as no contraction.
    #[inline(always)]
    pub(super) fn contractions(&self, quotes: u64, either_case: bool) -> [u64; 2] {
        let one = self.letter(b's', either_case)
            | self.letter(b'd', either_case)
            | self.letter(b'm', either_case)
            | self.letter(b't', either_case);
        let (l, e) = (self.letter(b'l', either_case), self.letter(b'e', either_case));
        let mut two = l & l >> 1 | (self.letter(b'v', either_case) | self.letter(b'r', either_case)) & e >> 1;
        if either_case {
            // Of all characters only U+017F (long s) folds to one of these letters.
            two |= self.lanes.equal(0xC5) & self.lanes.equal(0xBF) >> 1;
        }
        [quotes & one >> 1, quotes & two >> 1]
    }

    #[inline(always)]
    fn letter(&self, letter: u8, either_case: bool) -> u64 {
        let lower = self.lanes.equal(letter);
        if either_case { lower | self.lanes.equal(letter.to_ascii_uppercase()) } else { lower }
    }
}

/// The bytes, by class, of the characters that begin at the bits of `firsts` in the block at `start`.
#[inline(never)]
fn look_up(text: Reader, start: usize, mut firsts: u64) -> [u64; 8] {
    let mut classes = [0; 8];
    while firsts != 0 {
        let at = firsts.trailing_zeros();
        let (class, length) = text.class(start + at as usize);
        classes[class.trailing_zeros() as usize & 7] |= ((1_u64 << length) - 1) << at;
        firsts &= firsts - 1;
    }
    classes
}

/// The first bytes of ideographs and Hangul whose neighbours all are letters: U+4000 to U+9FFF
/// without the hexagrams (U+4DC0 to U+4DFF), and U+B000 to U+CFFF.
#[inline(always)]
fn ideographs(lanes: impl Lanes) -> u64 {
    let hexagrams = lanes.equal(0xB7) >> 1 | 1 << 63;
    lanes.within(0xE5, 0xE9) | lanes.equal(0xE4) & !hexagrams | lanes.within(0xEB, 0xEC)
}

/// The first bytes of what stands between clauses of ideographs: U+3001 to U+3004 and U+3008 to U+3020, and of the wide
/// forms of ASCII those of punctuation before and behind the digits.
#[inline(always)]
fn wide_punctuation(lanes: impl Lanes) -> u64 {
    let ideographic = lanes.equal(0xE3) & lanes.equal(0x80) >> 1;
    let wide_form = lanes.equal(0xEF) & lanes.equal(0xBC) >> 1;
    ideographic & (lanes.within(0x81, 0x84) | lanes.within(0x88, 0xA0)) >> 2
        | wide_form & (lanes.within(0x81, 0x8F) | lanes.within(0x9A, 0xA0)) >> 2
}

/// Where pretokens start in a block, if what is not decided does not matter.
pub(super) struct Starts {
    pub(super) all: u64,
    /// Bytes that the algebra leaves to the code for single characters.
    pub(super) undecided: u64,
    /// White space: where it reaches the end of the block it depends on what follows.
    pub(super) white: u64,
}

impl Starts {
    /// The starts but for the first, which is that of the block, up to where they are certain.
    #[inline(always)]
    fn certain(&self) -> u64 {
        let before_undecided = (self.undecided & self.undecided.wrapping_neg()).wrapping_sub(1);
        let trailing = self.white.leading_ones();
        // The first of the white space at the end is a start or not whatever follows.
        let up_to_trailing = if trailing == 0 { u64::MAX } else { u64::MAX >> (trailing - 1) };
        self.all & before_undecided & up_to_trailing & !1
    }
}
