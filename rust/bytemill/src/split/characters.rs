//! Character classes that steps and assertions refer to, with the same characters as in `tokenizers` 0.23.

use super::pattern::Class;
use std::sync::OnceLock;

/// Unicode 16's numbers, and those that Unicode 17 adds: `Digits` uses Rust's own table.
const NUMBER: &str = r"[\p{N}\x{11de0}-\x{11de9}\x{16ff4}-\x{16ff6}]";
/// ASCII's punctuation and that of Unicode 8; two of its characters later changed category.
const PUNCTUATION: &str = r"[[\p{P}&&\p{Age:8.0}][[:punct:]]\x{166d}\x{111c9}]";
const WORD: &str = r"\w";

static CLASSES: [OnceLock<Class>; 3] = [const { OnceLock::new() }; 3];

fn has(number: usize, regex: &str, character: char) -> bool {
    let class = CLASSES[number].get().unwrap_or_else(|| {
        // Built before entering the cell: a child forked while a thread is in it would wait forever.
        let class = Class::new(regex);
        CLASSES[number].get_or_init(|| class)
    });
    class.has(character)
}

/// Return whether `Digits` cuts at `character`.
pub(super) fn is_number(character: char) -> bool {
    has(0, NUMBER, character)
}

/// Return whether `Punctuation` cuts at `character`.
pub(super) fn is_punctuation(character: char) -> bool {
    has(1, PUNCTUATION, character)
}

/// Return whether there is a word boundary between `character` and a non-word character.
pub(super) fn is_word(character: char) -> bool {
    has(2, WORD, character)
}
