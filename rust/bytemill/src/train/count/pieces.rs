//! Split a long document into pieces with the same pretokens as the whole.
//!
//! Then several threads can count one huge text, in little memory, and the work can be stopped. [`Splitter::last_cut`]
//! finds the places to split. A document without such a place, as with a regular expression or no pattern, stays in one
//! piece.

use crate::split::Splitter;

/// Bytes to search first for a place to split.
const PIECE_BYTES: usize = 1 << 20;

/// Split off the first piece of `document`; return the whole document if it is short or cannot be split.
pub(super) fn first_piece<'d>(splitter: &Splitter, document: &'d [u8]) -> (&'d [u8], &'d [u8]) {
    if splitter.is_by_hand() {
        let mut length = PIECE_BYTES;
        while length < document.len() {
            if let Some(end) = splitter.last_cut(&document[..length]) {
                return document.split_at(end);
            }
            length *= 2;
        }
    }
    (document, &[])
}

/// Split off at least one line. Splitting the returned lines together gives the same pretokens as splitting each line
/// alone, with one exception: a line feed and the indentation after it may be one pretoken instead of two.
///
/// This holds if a line ends in a visible character, and the next line has a visible character after only spaces and
/// tabs. At such a place, all patterns with their own code end a pretoken with the line feed, or (GPT-2's pattern)
/// start one with it that contains only white space. A slash is excluded, because o200k treats it as part of a line
/// end.
pub(super) fn first_lines<'d>(splitter: &Splitter, document: &'d [u8]) -> (&'d [u8], &'d [u8]) {
    for at in memchr::memchr_iter(b'\n', document) {
        let end = at + 1;
        if !splitter.is_by_hand() || end >= PIECE_BYTES || !goes_on(document, at) {
            return document.split_at(end);
        }
    }
    (document, &[])
}

/// Return whether the lines around the line feed at `at` can be split together.
fn goes_on(text: &[u8], at: usize) -> bool {
    let next = text[at + 1..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    at > 0 && text[at - 1].is_ascii_graphic() && next.is_some_and(|next| next.is_ascii_graphic() && *next != b'/')
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pretokens(splitter: &Splitter, text: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        splitter.split(text, |pretoken| found.push(pretoken.to_vec())).unwrap();
        found
    }

    proptest! {
        #[test]
        fn a_cut_changes_no_pretoken(parts in prop::collection::vec("[a-c'. \r\n1é]{0,4}|x\ny|\n", 0..40), damage in any::<prop::sample::Index>()) {
            let mut text = parts.concat().into_bytes();
            if let Some(byte) = text.len().checked_sub(1).map(|last| damage.index(last + 1)) {
                text[byte] = 0xC3;
            }
            for name in ["gpt2", "cl100k", "o200k"] {
                let splitter = Splitter::new(Some(name)).unwrap();
                for length in 0..=text.len() {
                    if let Some(end) = splitter.last_cut(&text[..length]) {
                        let apart = [pretokens(&splitter, &text[..end]), pretokens(&splitter, &text[end..])];
                        prop_assert_eq!(apart.concat(), pretokens(&splitter, &text));
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn lines_added_together_have_the_pretokens_of_each(parts in prop::collection::vec("[a-c'./ \r\n\t1é]{0,4}|x\n {0,3}y|\n|[.]\n\t?[a.]|\u{ff}\n", 0..40), damage in any::<prop::sample::Index>()) {
            let mut text = parts.concat().into_bytes();
            if let Some(byte) = text.len().checked_sub(1).map(|last| damage.index(last + 1)) {
                text[byte] = 0xC3;
            }
            for name in ["gpt2", "cl100k", "o200k"] {
                let splitter = Splitter::new(Some(name)).unwrap();
                let mut together = Vec::new();
                let mut rest = &text[..];
                while !rest.is_empty() {
                    let (lines, later) = first_lines(&splitter, rest);
                    for word in pretokens(&splitter, lines) {
                        let ends_a_line = word.len() > 1 && word[0] == b'\n';
                        let (first, second) = word.split_at(usize::from(ends_a_line));
                        together.extend([first, second].into_iter().filter(|word| !word.is_empty()).map(<[u8]>::to_vec));
                    }
                    rest = later;
                }
                let alone = text.split_inclusive(|&byte| byte == b'\n').flat_map(|line| pretokens(&splitter, line));
                prop_assert_eq!(together, alone.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn long_lines_are_cut_and_nothing_else_is() {
        let lines = "line\n".repeat(300_000).into_bytes();
        let gpt2 = Splitter::new(Some("gpt2")).unwrap();
        let (piece, rest) = first_piece(&gpt2, &lines);
        assert!((1 << 20) - 5 < piece.len() && piece.ends_with(b"line"));
        assert_eq!(piece.len() + rest.len(), lines.len());
        for splitter in [Splitter::new(None).unwrap(), Splitter::new(Some(r"\w+|\W+")).unwrap()] {
            assert_eq!(first_piece(&splitter, &lines), (&lines[..], &b""[..]));
        }
        assert_eq!(first_piece(&gpt2, &vec![b' '; 3 << 20]).0.len(), 3 << 20);
    }
}
