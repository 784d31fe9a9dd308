//! Cuts a long text into parts that split alone as they do together.
//!
//! A line feed between two ASCII letters is a pretoken of its own under every pattern written by hand, and
//! none of them looks across it: the letters before it end one pretoken, those after it begin another, and
//! at the end of a text the line feed is cut off in the same way. So the text may be cut behind it.

use std::ops::Range;

/// About `n_parts` parts of about the same size; fewer where the text offers too few places to cut.
pub(super) fn cut(text: &str, n_parts: usize) -> Vec<&str> {
    let mut parts = Vec::with_capacity(n_parts);
    let mut start = 0;
    for part in 1..n_parts {
        let wanted = text.len() / n_parts * part;
        if let Some(end) = (wanted > start).then(|| next_cut(text.as_bytes(), wanted..text.len())).flatten() {
            parts.push(&text[start..end]);
            start = end;
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The first place in `text` where it may be cut.
pub(super) fn first_cut(text: &[u8]) -> Option<usize> {
    next_cut(text, 0..text.len())
}

/// The first place in `range` behind a line feed between two ASCII letters.
fn next_cut(text: &[u8], range: Range<usize>) -> Option<usize> {
    let is_letter = |at: usize| text.get(at).is_some_and(u8::is_ascii_alphabetic);
    memchr::memchr_iter(b'\n', &text[range.clone()])
        .map(|offset| range.start + offset)
        .find(|&at| at > 0 && is_letter(at - 1) && is_letter(at + 1))
        .map(|at| at + 1)
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
        fn parts_split_alone_as_they_do_together(text in "([a-c'. \r\n1é]|x\ny){0,80}", n_parts in 1..5_usize) {
            for name in ["gpt2", "cl100k", "o200k"] {
                let splitter = Splitter::new(Some(name)).unwrap();
                let parts = cut(&text, n_parts);
                prop_assert_eq!(parts.concat(), text.as_str());
                let apart: Vec<_> = parts.into_iter().flat_map(|part| pretokens(&splitter, part)).collect();
                prop_assert_eq!(apart, pretokens(&splitter, &text));
            }
        }
    }

    #[test]
    fn a_text_of_lines_is_cut() {
        assert_eq!(cut(&"line\n".repeat(8), 4).len(), 4);
        assert_eq!(cut("no place to cut\n\n", 4).len(), 1);
    }
}
