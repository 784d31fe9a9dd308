//! The hand-written pattern of `o200k_base` (GPT-4o).
//!
//! With U = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, l = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]` and c an optional contraction:
//!
//! ```text
//! [^\r\n\p{L}\p{N}]?U*l+c        a word that ends in lower case, with any one non-letter before
//! |[^\r\n\p{L}\p{N}]?U+l*c       a word in upper case, likewise
//! |\p{N}{1,3}                    up to three digits
//! | ?[^\s\p{L}\p{N}]+[\r\n/]*    symbols, with one space before, newlines and slashes after
//! |\s*[\r\n]+                    white space up to its last newline
//! |\s+(?!\S)|\s+                 white space but its last character, or one
//! ```

// The algebra on masks is a part of the loop over blocks, compiled once for each backend.
#![allow(clippy::inline_always)]

use super::block::{Block, Starts};
use super::cl100k::{self, contraction, digits, last_newline};
use super::gpt2;
use super::lanes::Lanes;
use super::unicode::{BLANK, LETTER, LOWER, MARK, NEWLINE, NUMBER, Reader, SPACE, SYMBOL, Set, UNCASED, UPPER};

const UPPER_LIKE: Set = UPPER | UNCASED | MARK;
const LOWER_LIKE: Set = LOWER | UNCASED | MARK;

/// Return the end of the pretoken that starts at `start`, which is before the end of the text.
#[inline]
pub(super) fn end(text: Reader, start: usize) -> usize {
    let (class, length) = text.class(start);
    if let Some(end) = word(text, start, class, length) {
        return contraction(text, end).unwrap_or(end);
    }
    let after = start + length;
    if class & NUMBER != 0 {
        return digits(text, after, 2);
    }
    if class & SYMBOL != 0 || text.byte(start) == b' ' && text.is(after, SYMBOL) {
        return newlines_and_slashes(text, text.skip(after, SYMBOL));
    }
    last_newline(text, start).unwrap_or_else(|| gpt2::space(text, start))
}

/// Return the starts of pretokens in a block.
#[inline(always)]
pub(super) fn starts<L: Lanes>(block: &Block<L>) -> Starts {
    let symbols = cl100k::symbol_starts(block);
    let [upper, lower, letters] = [UPPER, LOWER, LETTER].map(|set| block.of(set));
    let words = cl100k::word_starts(block, symbols) | upper & lower << 1;
    let mut starts = symbols | words | cl100k::number_starts(block, 3) | cl100k::white_starts(block);
    let mut undecided = cl100k::undecided(block) | undecided(block);
    let quotes = block.quote & letters << 1;
    if quotes != 0 {
        let [short, long] = block.contractions(quotes, true);
        let ends = short << 2 | long << 3;
        starts = starts & !(short | long | short << 1 | long << 1 | long << 2) | ends;
        // Directly after a contraction, an apostrophe begins a word and does not end one. At the end of the
        // block the text after it is not visible.
        undecided |= quotes & (ends | 3 << 62);
    }
    Starts { all: starts, undecided, white: block.of(SPACE) }
}

/// Return marks; letters without case next to other letters; slashes that belong to symbols before newlines.
#[inline(always)]
fn undecided<L: Lanes>(block: &Block<L>) -> u64 {
    let (cased, uncased) = (block.of(UPPER | LOWER), block.of(UNCASED));
    let slashes = block.slash & cl100k::newlines_of_symbols(block) << 1;
    block.of(MARK) | cased & uncased << 1 | uncased & cased << 1 | slashes
}

/// Match the first two alternatives without their contraction, in the order in which the regex tries them.
#[inline]
fn word(text: Reader, start: usize, class: Set, length: usize) -> Option<usize> {
    if class & LETTER != 0 {
        return lower_word(text, start).or_else(|| Some(text.skip(start, UPPER)));
    }
    if class & (NUMBER | NEWLINE) != 0 {
        return None;
    }
    debug_assert!(class & (SYMBOL | BLANK) != 0);
    let after = start + length;
    lower_word(text, after)
        // A mark is both a possible prefix and a part of words.
        .or_else(|| if class == MARK { lower_word(text, start) } else { None })
        .or_else(|| if text.is(after, UPPER) { Some(text.skip(after, UPPER)) } else { None })
}

/// Match `U*l+`: U* takes all it can. If no lower case follows, it backtracks to its last character
/// that l+ can take, and l+ takes only that one.
#[inline]
fn lower_word(text: Reader, start: usize) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    loop {
        let (class, length) = text.class(at);
        if class & UPPER_LIKE == 0 {
            return if class == LOWER { Some(text.skip(at, LOWER_LIKE)) } else { end };
        }
        at += length;
        if class != UPPER {
            end = Some(at);
        }
    }
}

fn newlines_and_slashes(text: Reader, mut at: usize) -> usize {
    while matches!(text.byte(at), b'\r' | b'\n' | b'/') {
        at += 1;
    }
    at
}
