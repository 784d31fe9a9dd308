//! The pattern of `cl100k_base` (GPT-4) by hand, and its two near relations.
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
//! Llama 3 and minbpe use the pattern as it first was, without `\s++$`; Qwen 2 also takes digits
//! one by one.

use super::gpt2;
use super::unicode::{LETTER, NEWLINE, NUMBER, Reader, SPACE, SYMBOL};

/// What the relations differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rules {
    /// The longest run of digits that is one pretoken.
    pub(super) max_digits: usize,
    /// Whether white space at the end of the text is one pretoken, newlines and all.
    pub(super) end_is_whole: bool,
}

/// The end of the pretoken that starts at `start`, which is before the end of the text.
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

/// `'(?i:[sdmt]|ll|ve|re)` at `quote`. Of all characters only U+017F (long s) folds to one of these letters.
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

/// The end of at most `n` digits at `at`.
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

/// `\s*[\r\n]`: the end of the last newline in the white space at `start`.
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
