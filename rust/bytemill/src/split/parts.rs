//! Finds places where a text may be cut without changing its pretokens.
//!
//! No hand-written pattern looks back, so the text to the right of a true boundary always splits as in the whole.
//! The text to the left does too if nothing in it would have looked across the cut. Such places are:
//!
//! * after a line feed between two characters that are not white space, if the second is not a slash. The line
//!   feed is a pretoken of its own or ends one of symbols, and it ends that pretoken whatever follows. Only
//!   o200k's symbols would continue, with slashes;
//! * between an ideograph and an ideographic comma or full stop, for texts without lines. The run of letters
//!   ends there, and the mark begins a pretoken;
//! * if any place will do: after an ASCII letter or ideograph, and before a space, a line feed or
//!   punctuation other than an apostrophe, which could begin a contraction.

use std::ops::Range;

/// The characters before and after each place at which [`cut`] cuts.
pub(crate) const CUT_CONTEXT: [char; 3] = ['\n', '，', '。'];

/// Split into about `n_parts` parts of about the same size; fewer if the text has too few places to cut.
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

/// Return the first place at or after `start` where `text` may be cut, also inside lines; never its end.
pub(super) fn next_cut_anywhere(text: &str, start: usize) -> Option<usize> {
    let start = (start.max(1)..text.len()).find(|&at| text.is_char_boundary(at))?;
    let mut before = text[..start].chars().next_back()?;
    for (offset, after) in text[start..].char_indices() {
        let inside = is_letter(before) && (after == ' ' || after == '\n' || ends_letters(after));
        if inside || (before == '\n' && is_between_visible(text, start + offset - 1)) {
            return Some(start + offset);
        }
        before = after;
    }
    None
}

/// Return the first place in `range` at which `text` may be cut; after a line if there is one.
fn next_cut(text: &str, range: Range<usize>) -> Option<usize> {
    let bytes = &text.as_bytes()[range.clone()];
    let line = memchr::memchr_iter(b'\n', bytes).map(|at| range.start + at).find(|&at| is_between_visible(text, at));
    line.map(|at| at + 1).or_else(|| next_mark(text.as_bytes(), range))
}

/// Return whether the line feed at `at` is between two characters that are not white space, the second not a slash.
fn is_between_visible(text: &str, at: usize) -> bool {
    let is_visible = |character: char| !character.is_whitespace();
    let after = text[at + 1..].chars().next();
    text[..at].chars().next_back().is_some_and(is_visible)
        && after.is_some_and(|after| is_visible(after) && after != '/')
}

/// Return the first place in `range` between an ideograph and a comma or full stop.
fn next_mark(text: &[u8], range: Range<usize>) -> Option<usize> {
    let is_ideograph = |at: usize| {
        let bytes = at.checked_sub(3).and_then(|start| std::str::from_utf8(&text[start..at]).ok());
        bytes.is_some_and(|text| matches!(text.chars().next(), Some('\u{4E00}'..='\u{9FA5}')))
    };
    let marks = ["，", "。"].map(|mark| {
        memchr::memmem::find_iter(&text[range.clone()], mark).map(|at| range.start + at).find(|&at| is_ideograph(at))
    });
    marks.into_iter().flatten().min()
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
    use crate::split::known::KNOWN;
    use proptest::prelude::*;

    fn pretokens(splitter: &Splitter, text: &str) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        splitter.split_str(text, |pretoken| found.push(pretoken.to_vec())).unwrap();
        found
    }

    proptest! {
        #[test]
        fn parts_split_alone_as_they_do_together(text in "([a-c'/. \r\n1é中，。\u{3000}\u{301}\u{a0}]|x\ny|。\n中|'s，|字，){0,80}", n_parts in 1..5_usize) {
            for known in &KNOWN {
                let splitter = Splitter::new(Some(known.spellings[0])).unwrap();
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
        assert_eq!(cut(&"行，\n字".repeat(8), 4).len(), 4);
        assert_eq!(cut(&"一行没有换行的字，".repeat(8), 4).len(), 4);
        assert_eq!(cut("no place to cut\n\n", 4).len(), 1);
    }
}
