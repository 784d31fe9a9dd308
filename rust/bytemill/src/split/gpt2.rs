//! The hand-written pattern of GPT-2.
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)      a contraction
//! | ?\p{L}+                 letters, with one space before
//! | ?\p{N}+                 digits, with one space before
//! | ?[^\s\p{L}\p{N}]+       anything else visible, with one space before
//! |\s+(?!\S)|\s+            white space; its last character is left to what follows
//! ```

// The algebra on masks is a part of the loop over blocks, compiled once for each backend.
#![allow(clippy::inline_always)]

use super::block::{Block, Starts};
use super::lanes::Lanes;
use super::unicode::{BLANK, LETTER, NEWLINE, NUMBER, Reader, SPACE, SYMBOL};

/// Return the end of the pretoken that starts at `start`, which is before the end of the text.
#[inline]
pub(super) fn end(text: Reader, start: usize) -> usize {
    if text.byte(start) == b'\''
        && let Some(end) = contraction(text, start)
    {
        return end;
    }
    let word = start + usize::from(text.byte(start) == b' ');
    let (class, length) = text.class(word);
    for set in [LETTER, NUMBER, SYMBOL] {
        if class & set != 0 {
            return text.skip(word + length, set);
        }
    }
    space(text, start)
}

/// Return the starts of pretokens in a block.
#[inline(always)]
pub(super) fn starts<L: Lanes>(block: &Block<L>) -> Starts {
    let [letters, numbers, symbols, white] = [LETTER, NUMBER, SYMBOL, SPACE].map(|set| block.of(set));
    // Each run starts a pretoken unless the space before it did.
    let first = |run: u64| run & !(run << 1) & !(block.space << 1);
    let symbol_starts = first(symbols);
    // White space starts at the beginning of a run, and again at the last character of the run.
    let white_starts = white & !(white << 1 & white >> 1);
    let mut starts = first(letters) | first(numbers) | symbol_starts | white_starts;
    // The last character of a run of white space may have more than one byte.
    let mut undecided = white & block.beyond_ascii;
    let quotes = block.quote & symbol_starts;
    if quotes != 0 {
        let [short, long] = block.contractions(quotes, false);
        starts = starts & !(short << 1 | long << 1 | long << 2) | short << 2 | long << 3;
        // If a three-byte contraction begins at the last byte but one, its third byte is not visible.
        undecided |= quotes << 1 & 1 << 63;
    }
    Starts { all: starts, undecided, white }
}

/// Match `'s 'd 'm 't 'll 've 're`, in lower case only.
fn contraction(text: Reader, quote: usize) -> Option<usize> {
    match (text.byte(quote + 1), text.byte(quote + 2)) {
        (b's' | b'd' | b'm' | b't', _) => Some(quote + 2),
        (b'l', b'l') | (b'v' | b'r', b'e') => Some(quote + 3),
        _ => None,
    }
}

/// Match `\s+(?!\S)|\s+`: all white space at the end of the text, else all but its last character, or the only one.
pub(super) fn space(text: Reader, start: usize) -> usize {
    let mut at = start;
    let mut last = start;
    loop {
        let (class, length) = text.class(at);
        match class {
            BLANK | NEWLINE => (last, at) = (at, at + length),
            0 => return at,
            _ if last > start => return last,
            _ => return at,
        }
    }
}

const _: () = assert!(SPACE == BLANK | NEWLINE);
