//! 64 bytes of text as bit masks: the bytes of each class of characters, and where pretokens start.

// Each of these is a part of the loop over blocks, compiled once for each backend.
#![allow(clippy::inline_always)]

use super::lanes::Lanes;
use super::unicode::{BLANK, LOWER, NEWLINE, NUMBER, OTHER, Reader, Set, UNCASED, UPPER};

/// 64 bytes of text that begin with a pretoken, as masks with one bit per byte.
pub(super) struct Block<L> {
    lanes: L,
    /// The bytes of the characters of each class, in the order of the classes' bits.
    classes: [u64; 8],
    /// The bytes of multi-byte characters, and those of them that are not the first.
    pub(super) beyond_ascii: u64,
    pub(super) continuation: u64,
    /// Space, apostrophe, slash.
    pub(super) space: u64,
    pub(super) quote: u64,
    pub(super) slash: u64,
}

impl<L: Lanes> Block<L> {
    #[inline(always)]
    pub(super) fn new(lanes: L, text: Reader, start: usize) -> Self {
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

    /// Return the bytes of the characters in `set`.
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

    /// Return those of `quotes` that begin contractions: `'s 'd 'm 't` (two bytes), `'ll 've 're` and `'ſ` (three).
    ///
    /// A contraction that extends beyond the block is not counted.
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

/// Return the bytes, by class, of the characters that begin at the bits of `firsts` in the block at `start`.
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

/// Return the first bytes of ideographs and Hangul whose ranges contain only letters: U+4000 to U+9FFF
/// without the hexagrams (U+4DC0 to U+4DFF), and U+B000 to U+CFFF.
#[inline(always)]
fn ideographs(lanes: impl Lanes) -> u64 {
    let hexagrams = lanes.equal(0xB7) >> 1 | 1 << 63;
    lanes.within(0xE5, 0xE9) | lanes.equal(0xE4) & !hexagrams | lanes.within(0xEB, 0xEC)
}

/// Return the first bytes of punctuation between clauses of ideographs: U+3001 to U+3004 and U+3008 to U+3020, and the
/// wide forms of the ASCII punctuation before and after the digits.
#[inline(always)]
fn wide_punctuation(lanes: impl Lanes) -> u64 {
    let ideographic = lanes.equal(0xE3) & lanes.equal(0x80) >> 1;
    let wide_form = lanes.equal(0xEF) & lanes.equal(0xBC) >> 1;
    ideographic & (lanes.within(0x81, 0x84) | lanes.within(0x88, 0xA0)) >> 2
        | wide_form & (lanes.within(0x81, 0x8F) | lanes.within(0x9A, 0xA0)) >> 2
}

/// The pretoken starts in a block, assuming that the undecided bytes do not matter.
pub(super) struct Starts {
    pub(super) all: u64,
    /// Bytes that the algebra leaves to the code for single characters.
    pub(super) undecided: u64,
    /// White space: if it reaches the end of the block, the result depends on the following text.
    pub(super) white: u64,
}

impl Starts {
    /// Return the starts up to where they are certain, without the first, which is the start of the block.
    #[inline(always)]
    pub(super) fn certain(&self) -> u64 {
        let before_undecided = (self.undecided & self.undecided.wrapping_neg()).wrapping_sub(1);
        let trailing = self.white.leading_ones();
        // The first of the white space at the end is decided, whatever follows.
        let up_to_trailing = if trailing == 0 { u64::MAX } else { u64::MAX >> (trailing - 1) };
        self.all & before_undecided & up_to_trailing & !1
    }
}
