//! GPT-2's pattern by hand.
//!
//! ```text
//! '(?:[sdmt]|ll|ve|re)      a contraction
//! | ?\p{L}+                 letters, with one space before
//! | ?\p{N}+                 digits, with one space before
//! | ?[^\s\p{L}\p{N}]+       anything else visible, with one space before
//! |\s+(?!\S)|\s+            white space; its last character is left to what follows
//! ```

use super::unicode::{BLANK, LETTER, NEWLINE, NUMBER, Reader, SPACE, SYMBOL};

/// The end of the pretoken that starts at `start`, which is before the end of the text.
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

/// `'s 'd 'm 't 'll 've 're`, in lower case only.
fn contraction(text: Reader, quote: usize) -> Option<usize> {
    match (text.byte(quote + 1), text.byte(quote + 2)) {
        (b's' | b'd' | b'm' | b't', _) => Some(quote + 2),
        (b'l', b'l') | (b'v' | b'r', b'e') => Some(quote + 3),
        _ => None,
    }
}

/// `\s+(?!\S)|\s+`: all white space at the end of the text, else all but its last character, or the only one.
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
