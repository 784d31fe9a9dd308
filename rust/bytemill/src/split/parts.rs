//! Places where a text may be cut, so that its parts split alone as they do together.
//!
//! No pattern written by hand looks back, so the right part of a true boundary always splits as in the whole.
//! The left part does when nothing in it would have looked across the cut. Two kinds of places are sure:
//!
//! * behind a single line feed that follows what is not white space, in front of a letter: the line feed ends a
//!   pretoken, of its own or with punctuation before it, whether the text goes on there or not;
//! * behind a letter, in front of a space, a line feed or punctuation other than an apostrophe: the run of
//!   letters ends there, and contractions need an apostrophe first.
//!
//! For both, a letter is ASCII's or a common Chinese character: no mark, and nothing that has a case of its own kind.

use std::ops::Range;

/// About `n_parts` parts of about the same size; fewer where the text offers too few places to cut.
pub(super) fn cut(text: &str, n_parts: usize) -> Vec<&str> {
    let mut parts = Vec::with_capacity(n_parts);
    let mut start = 0;
    for part in 1..n_parts {
        let wanted = text.len() / n_parts * part;
        if let Some(end) = (wanted > start).then(|| next_cut(text, wanted..text.len())).flatten() {
            parts.push(&text[start..end]);
            start = end;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The first place at or after `start` where `text` may be cut, inside lines too; never its end.
pub(super) fn next_cut_anywhere(text: &str, start: usize) -> Option<usize> {
    let start = (start.max(1)..text.len()).find(|&at| text.is_char_boundary(at))?;
    let mut before = text[..start].chars().next_back()?;
    for (offset, after) in text[start..].char_indices() {
        let inside = is_letter(before) && (after == ' ' || after == '\n' || ends_letters(after));
        if inside || (before == '\n' && is_line_cut(text, start + offset)) {
            return Some(start + offset);
        }
        before = after;
    }
    None
}

/// The first place in `range` behind a line feed where `text` may be cut.
fn next_cut(text: &str, range: Range<usize>) -> Option<usize> {
    memchr::memchr_iter(b'\n', &text.as_bytes()[range.clone()])
        .map(|offset| range.start + offset + 1)
        .find(|&at| is_line_cut(text, at))
}

/// Whether the line feed before `at` stands between what is not white space and a letter.
fn is_line_cut(text: &str, at: usize) -> bool {
    let is_white = |character: char| character.is_whitespace();
    text[..at - 1].chars().next_back().is_some_and(|before| !is_white(before))
        && text[at..].chars().next().is_some_and(is_letter)
}

fn is_letter(character: char) -> bool {
    character.is_ascii_alphabetic() || ('\u{4E00}'..='\u{9FFF}').contains(&character)
}

fn ends_letters(character: char) -> bool {
    (character.is_ascii_punctuation() && character != '\'') || "，。、；：！？".contains(character)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::split::Splitter;
    use proptest::prelude::*;

    fn pretokens<'t>(splitter: &Splitter, text: &'t str) -> Vec<&'t [u8]> {
        let mut found = Vec::new();
        splitter.split_str(text, |pretoken| found.push(pretoken)).unwrap();
        found
    }

    proptest! {
        #[test]
        fn parts_split_alone_as_they_do_together(text in "([a-c'sL. \r\n1é中，\u{301}]|x\ny){0,80}", n_parts in 1..5_usize) {
            for name in ["gpt2", "cl100k", "o200k"] {
                let splitter = Splitter::new(Some(name)).unwrap();
                let parts = cut(&text, n_parts);
                prop_assert_eq!(parts.concat(), text.as_str());
                let apart: Vec<_> = parts.into_iter().flat_map(|part| pretokens(&splitter, part)).collect();
                prop_assert_eq!(apart, pretokens(&splitter, &text));
            }
        }
    }

    proptest! {
        #[test]
        fn a_cut_inside_a_line_changes_no_pretoken(text in "([a-cA'sltL.,/ \r\n\t1é中文，\u{301}]|'ll|x\ny){0,60}", start in 0..60_usize) {
            for name in ["gpt2", "cl100k", "o200k"] {
                let splitter = Splitter::new(Some(name)).unwrap();
                if let Some(cut) = next_cut_anywhere(&text, start.min(text.len())) {
                    prop_assert!(cut >= start.min(text.len()) && cut < text.len());
                    let apart = [pretokens(&splitter, &text[..cut]), pretokens(&splitter, &text[cut..])];
                    prop_assert_eq!(apart.concat(), pretokens(&splitter, &text));
                }
            }
        }
    }

    #[test]
    fn a_text_of_lines_is_cut() {
        assert_eq!(cut(&"第一行。\n".repeat(8), 4).len(), 4);
        assert_eq!(next_cut_anywhere("one two", 1), Some(3));
        assert_eq!(next_cut_anywhere("don't", 0), None);
        assert_eq!(cut(&"line\n".repeat(8), 4).len(), 4);
        assert_eq!(cut("no place to cut\n\n", 4).len(), 1);
    }
}
