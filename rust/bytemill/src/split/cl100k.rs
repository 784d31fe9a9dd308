//! The hand-written pattern of `cl100k_base` (GPT-4), and its two close relatives.
//!
//! ```text
//! '(?i:[sdmt]|ll|ve|re)               a contraction, in either case
//! |[^\r\n\p{L}\p{N}]?+\p{L}++         letters, with any one non-letter before
//! |\p{N}{1,3}+                        up to three digits
//! | ?[^\s\p{L}\p{N}]++[\r\n]*+        symbols, with one space before and newlines after
//! |\s++$                              white space that ends the text
//! |\s*[\r\n]                          white space up to its last newline
//! |\s+(?!\S)|\s                       white space but its last character, or one
//! ```
//!
//! Llama 3 and minbpe use the original pattern, without `\s++$`; Qwen 2 also takes digits
//! one by one.

// The algebra on masks is a part of the loop over blocks, compiled once for each backend.
#![allow(clippy::inline_always)]

use super::block::{Block, Starts};
use super::gpt2;
use super::lanes::Lanes;
use super::unicode::{BLANK, LETTER, NEWLINE, NUMBER, Reader, SPACE, SYMBOL};

/// The differences between the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The longest run of digits that is one pretoken.
    pub(super) max_digits: usize,
    /// Whether white space at the end of the text is one pretoken, including newlines.
    pub(super) end_is_whole: bool,
}

/// Return the end of the pretoken that starts at `start`, which is before the end of the text.
#[inline]
pub(super) fn end(rules: Rules, text: Reader, start: usize) -> usize {
    if let Some(end) = contraction(text, start) {
        return end;
    }
    let (class, length) = text.class(start);
    let after = start + length;
    if class & LETTER != 0 || class & (NUMBER | NEWLINE) == 0 && text.is(after, LETTER) {
        return text.skip(after, LETTER);
    }
    if class & NUMBER != 0 {
        return digits(text, after, rules.max_digits - 1);
    }
    if class & SYMBOL != 0 || text.byte(start) == b' ' && text.is(after, SYMBOL) {
        return text.skip(text.skip(after, SYMBOL), NEWLINE);
    }
    if rules.end_is_whole && text.class(text.skip(start, SPACE)).1 == 0 {
        return text.skip(start, SPACE);
    }
    last_newline(text, start).unwrap_or_else(|| gpt2::space(text, start))
}

/// Return the starts of pretokens in a block.
#[inline(always)]
pub(super) fn starts<L: Lanes>(rules: Rules, block: &Block<L>) -> Starts {
    let symbols = symbol_starts(block);
    let mut starts =
        symbols | word_starts(block, symbols) | number_starts(block, rules.max_digits) | white_starts(block);
    let quotes = block.quote & symbols;
    if quotes != 0 {
        let [short, long] = block.contractions(quotes, true);
        // Contractions that cross the end of the block add no starts in it.
        starts = starts & !(short << 1 | long << 1 | long << 2) | short << 2 | long << 3;
    }
    Starts { all: starts, undecided: undecided(block), white: block.of(SPACE) }
}

/// Return the multi-byte white space and digits: for both, the number of characters matters.
#[inline(always)]
pub(super) fn undecided<L: Lanes>(block: &Block<L>) -> u64 {
    block.of(SPACE | NUMBER) & block.beyond_ascii
}

/// Return the starts of runs of symbols without a space before them.
#[inline(always)]
pub(super) fn symbol_starts<L: Lanes>(block: &Block<L>) -> u64 {
    let symbols = block.of(SYMBOL);
    symbols & !(symbols << 1) & !(block.space << 1)
}

/// Return the starts of runs of letters, except after a blank or after a symbol that starts a pretoken.
#[inline(always)]
pub(super) fn word_starts<L: Lanes>(block: &Block<L>, symbol_starts: u64) -> u64 {
    let letters = block.of(LETTER);
    let mut symbol = symbol_starts;
    for _ in 1..4 {
        symbol |= symbol << 1 & block.continuation;
    }
    letters & !(letters << 1) & !(symbol << 1) & !(block.of(BLANK) << 1)
}

/// Return the starts of runs of digits, and about every third digit in them.
#[inline(always)]
pub(super) fn number_starts<L: Lanes>(block: &Block<L>, max_digits: usize) -> u64 {
    let numbers = block.of(NUMBER);
    if max_digits == 1 {
        return numbers;
    }
    let mut starts = numbers & !(numbers << 1);
    let full_groups = numbers & numbers << 1 & numbers << 2 & numbers << 3;
    let mut next = starts << 3 & full_groups;
    while next != 0 {
        starts |= next;
        next = next << 3 & full_groups;
    }
    starts
}

/// Return the starts of runs of white space, without the newlines that belong to the symbols before; the character
/// after the last newline in each run; and the last character of the run, if it is a blank.
#[inline(always)]
pub(super) fn white_starts<L: Lanes>(block: &Block<L>) -> u64 {
    let newlines = block.of(NEWLINE) & !newlines_of_symbols(block);
    let blanks = block.of(BLANK);
    let white = newlines | blanks;
    let mut behind_newlines = blanks & newlines << 1;
    // Few lines end with blanks, so it is quicker to remove those runs that reach the next newline.
    let mut before_newlines = blanks & newlines >> 1;
    while before_newlines != 0 {
        let last = before_newlines.trailing_zeros();
        let first = last + 1 - (blanks << (63 - last)).leading_ones();
        behind_newlines &= !(1 << first);
        before_newlines &= before_newlines - 1;
    }
    white & !(white << 1) | blanks & !(white >> 1) | behind_newlines
}

/// Return the newlines directly after symbols, using a carry that runs through them.
#[inline(always)]
pub(super) fn newlines_of_symbols<L: Lanes>(block: &Block<L>) -> u64 {
    let newlines = block.of(NEWLINE);
    let first = newlines & block.of(SYMBOL) << 1;
    newlines & !newlines.wrapping_add(first)
}

/// Match `'(?i:[sdmt]|ll|ve|re)` at `quote`. Of all characters only U+017F (long s) folds to one of these letters.
#[inline]
pub(super) fn contraction(text: Reader, quote: usize) -> Option<usize> {
    if text.byte(quote) != b'\'' {
        return None;
    }
    let [first, second] = [1, 2].map(|offset| text.byte(quote + offset));
    match (first.to_ascii_lowercase(), second.to_ascii_lowercase()) {
        (b's' | b'd' | b'm' | b't', _) => Some(quote + 2),
        (b'l', b'l') | (b'v' | b'r', b'e') => Some(quote + 3),
        _ if [first, second] == *"ſ".as_bytes() => Some(quote + 3),
        _ => None,
    }
}

/// Return the end of at most `n` digits at `at`.
#[inline]
pub(super) fn digits(text: Reader, mut at: usize, n: usize) -> usize {
    for _ in 0..n {
        let (class, length) = text.class(at);
        if class & NUMBER == 0 {
            break;
        }
        at += length;
    }
    at
}

/// Match `\s*[\r\n]`: return the end of the last newline in the white space at `start`.
pub(super) fn last_newline(text: Reader, start: usize) -> Option<usize> {
    let mut at = start;
    let mut end = None;
    loop {
        let (class, length) = text.class(at);
        if class & SPACE == 0 {
            return end;
        }
        at += length;
        if class == NEWLINE {
            end = Some(at);
        }
    }
}
