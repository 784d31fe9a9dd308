//! The class of each character: eight disjoint classes, one bit each, one load per character.
//!
//! The patterns of GPT-2, cl100k and o200k distinguish nothing finer, so a set such as
//! `[^\s\p{L}\p{N}]` is a mask and a test is one AND. The ranges come from regex-syntax's tables,
//! which fancy-regex (our oracle) and tiktoken read too. At first use they are expanded to 4,352
//! blocks of 256 characters; equal blocks are stored once (about 60 KB in all).

use super::pattern::ranges;
use std::collections::HashMap;
use std::sync::OnceLock;

/// A set of character classes: an OR of the constants below.
pub(super) type Set = u8;

/// Characters of no other class: punctuation, symbols, controls, unassigned.
pub(super) const OTHER: Set = 1;
/// `\p{M}`.
pub(super) const MARK: Set = 1 << 1;
/// `\s` except CR and LF.
pub(super) const BLANK: Set = 1 << 2;
/// CR and LF.
pub(super) const NEWLINE: Set = 1 << 3;
/// `\p{N}`.
pub(super) const NUMBER: Set = 1 << 4;
/// `\p{Lu}` and `\p{Lt}`.
pub(super) const UPPER: Set = 1 << 5;
/// `\p{Ll}`.
pub(super) const LOWER: Set = 1 << 6;
/// `\p{Lm}` and `\p{Lo}`: letters without case.
pub(super) const UNCASED: Set = 1 << 7;

/// `\p{L}`.
pub(super) const LETTER: Set = UPPER | LOWER | UNCASED;
/// `\s`.
pub(super) const SPACE: Set = BLANK | NEWLINE;
/// `[^\s\p{L}\p{N}]`.
pub(super) const SYMBOL: Set = OTHER | MARK;

const BLOCK: usize = 256;
const N_BLOCKS: usize = 0x11_0000 / BLOCK;

/// The class of each ASCII character; 0 for bytes that begin or continue a longer one.
static ASCII: [Set; 256] = ascii_classes();
static TABLE: OnceLock<Table> = OnceLock::new();

/// Reads the characters of valid UTF-8 text as (class, length in bytes).
#[derive(Clone, Copy)]
pub(super) struct Reader<'t> {
    text: &'t [u8],
    table: &'static Table,
}

impl<'t> Reader<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text: text.as_bytes(), table: Table::get() }
    }

    /// Return the byte at `at`, or 0 after the end (no pattern matches NUL).
    #[inline]
    pub(super) fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(0)
    }

    /// Return class and length of the character at `at`; at the end, return (0, 0), a member of no set.
    #[inline]
    pub(super) fn class(&self, at: usize) -> (Set, usize) {
        match self.text.get(at) {
            None => (0, 0),
            Some(&byte) if byte < 0x80 => (ASCII[usize::from(byte)], 1),
            Some(&byte) => self.class_beyond_ascii(byte, at),
        }
    }

    /// Return whether the character at `at` is in `set`.
    #[inline]
    pub(super) fn is(&self, at: usize, set: Set) -> bool {
        self.class(at).0 & set != 0
    }

    /// Return the end of the run of characters in `set` that starts at `at`.
    #[inline]
    pub(super) fn skip(&self, mut at: usize, set: Set) -> usize {
        loop {
            let (class, length) = self.class(at);
            if class & set == 0 {
                return at;
            }
            at += length;
        }
    }

    #[inline]
    fn class_beyond_ascii(&self, lead: u8, at: usize) -> (Set, usize) {
        let tail = |offset: usize| u32::from(self.byte(at + offset) & 0x3F);
        let lead = u32::from(lead);
        let (code, length) = match lead {
            0..0xE0 => ((lead & 0x1F) << 6 | tail(1), 2),
            0xE0..0xF0 => ((lead & 0x0F) << 12 | tail(1) << 6 | tail(2), 3),
            _ => ((lead & 0x07) << 18 | tail(1) << 12 | tail(2) << 6 | tail(3), 4),
        };
        (self.table.class(code), length)
    }
}

/// Two levels: the block for the high bits of a character, and the classes in each block.
struct Table {
    block_of: Vec<u16>,
    classes: Vec<Set>,
}

impl Table {
    #[inline]
    fn get() -> &'static Self {
        TABLE.get().unwrap_or_else(|| {
            // Built before entering the cell: a child forked while a thread is in it would wait forever.
            let table = Self::build();
            TABLE.get_or_init(|| table)
        })
    }

    #[inline]
    fn class(&self, code: u32) -> Set {
        let block = usize::from(self.block_of[code as usize / BLOCK]);
        self.classes[block * BLOCK + code as usize % BLOCK]
    }

    fn build() -> Self {
        let flat = flat_classes();
        let mut seen: HashMap<&[Set], u16> = HashMap::new();
        let mut table = Self { block_of: Vec::with_capacity(N_BLOCKS), classes: Vec::new() };
        for block in flat.chunks_exact(BLOCK) {
            let number = *seen.entry(block).or_insert_with(|| {
                table.classes.extend_from_slice(block);
                (table.classes.len() / BLOCK - 1) as u16
            });
            table.block_of.push(number);
        }
        table
    }
}

/// Return the class of every code point, one byte each.
fn flat_classes() -> Vec<Set> {
    let mut flat = vec![OTHER; N_BLOCKS * BLOCK];
    let named = [
        (r"\p{M}", MARK),
        (r"\s", BLANK),
        (r"[\r\n]", NEWLINE),
        (r"\p{N}", NUMBER),
        (r"[\p{Lu}\p{Lt}]", UPPER),
        (r"\p{Ll}", LOWER),
        (r"[\p{Lm}\p{Lo}]", UNCASED),
    ];
    for (pattern, class) in named {
        let Ok(ranges) = ranges(pattern, false) else { unreachable!("{pattern} is a fixed class of regex-syntax") };
        for (first, last) in ranges {
            flat[first as usize..=last as usize].fill(class);
        }
    }
    flat
}

const fn ascii_classes() -> [Set; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 0x80 {
        classes[byte] = match byte as u8 {
            b'\r' | b'\n' => NEWLINE,
            b' ' | b'\t' | 0x0B | 0x0C => BLANK,
            b'0'..=b'9' => NUMBER,
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            _ => OTHER,
        };
        byte += 1;
    }
    classes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use fancy_regex::Regex;

    #[test]
    fn every_character_has_the_class_that_the_regex_crate_gives_it() {
        let sets = [
            (r"^\p{L}$", LETTER),
            (r"^\p{N}$", NUMBER),
            (r"^\s$", SPACE),
            (r"^[^\s\p{L}\p{N}]$", SYMBOL),
            (r"^\p{M}$", MARK),
            (r"^[\p{Lu}\p{Lt}]$", UPPER),
            (r"^\p{Ll}$", LOWER),
        ];
        for (pattern, set) in sets {
            let regex = Regex::new(pattern).unwrap();
            for code in (0..=0x10_FFFF).filter_map(char::from_u32) {
                let text = code.to_string();
                let (class, length) = Reader::new(&text).class(0);
                assert_eq!(length, code.len_utf8());
                assert_eq!(class & set != 0, regex.is_match(&text).unwrap(), "{code:?} in {pattern}");
            }
        }
    }
}
