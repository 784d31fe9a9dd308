//! The pattern of `o200k_base` (GPT-4o) by hand.
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

use super::cl100k::{contraction, digits, last_newline};
use super::gpt2;
use super::unicode::{BLANK, LETTER, LOWER, MARK, NEWLINE, NUMBER, Reader, SYMBOL, Set, UNCASED, UPPER};

const UPPER_LIKE: Set = UPPER | UNCASED | MARK;
const LOWER_LIKE: Set = LOWER | UNCASED | MARK;

/// The end of the pretoken that starts at `start`, which is before the end of the text.
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

/// The two first alternatives without their contraction, in the order in which the regex tries them.
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

/// `U*l+`: U* takes all it can; when no lower case follows it gives back up to its last character
/// that l+ can take, and l+ takes just that one.
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
