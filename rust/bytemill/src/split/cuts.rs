//! Finds places where bytes may be cut without changing the pretokens, by looking at few characters.
//!
//! No hand-written pattern looks back, so the text to the right of a true boundary always splits as in the whole. The
//! text to the left does too if nothing in it would have looked across the cut. Both hold
//!
//! * in GPT-2's pattern: before the last character of a run of white space that a visible character follows. It begins
//!   a pretoken, and the white space before it is one pretoken at the end of a text as well;
//! * in the others: after the last line end in a run of white space. The text before it is one pretoken, or ends one of
//!   symbols. Only o200k's symbols continue after it, with slashes. Without a line end: as in GPT-2's;
//! * in all: between letters or digits and punctuation other than an apostrophe, which could begin a contraction, and
//!   between letters and digits.

use super::known::Rule;
use super::unicode::{BLANK, LETTER, NEWLINE, NUMBER, Reader, SPACE, Set};

/// Return the first place to cut `text`, which may begin and end inside a character and need not be UTF-8.
pub(super) fn first(rule: Rule, text: &[u8]) -> Option<usize> {
    (1..text.len()).find(|&at| is_cut(rule, text, at))
}

/// Return the last place to cut `text`, which need not be UTF-8.
pub(super) fn last(rule: Rule, text: &[u8]) -> Option<usize> {
    (1..text.len()).rev().find(|&at| is_cut(rule, text, at))
}

fn is_cut(rule: Rule, text: &[u8], at: usize) -> bool {
    let (Some((before, _)), Some((after, length))) = (class_before(text, at), class_at(text, at)) else { return false };
    if (before | after) & SPACE == 0 {
        return is_cut_in_word(text, at, before, after);
    }
    let ends_the_space = || after & SPACE != 0 && is_visible(text, at + length);
    match rule {
        Rule::Gpt2 => ends_the_space(),
        Rule::Cl100k(_) | Rule::O200k if before & NEWLINE != 0 => {
            after & NEWLINE == 0 && text[at] != b'/' && is_visible(text, after_blanks(text, at))
        }
        Rule::Cl100k(_) | Rule::O200k => after & BLANK != 0 && ends_the_space() && is_visible_before_blanks(text, at),
    }
}

/// Return whether the characters around `at`, none of them white space, are in two pretokens in any context.
fn is_cut_in_word(text: &[u8], at: usize, before: Set, after: Set) -> bool {
    let changes = |from, to| before & from != 0 && after & to != 0;
    changes(LETTER, NUMBER) || changes(NUMBER, LETTER) || (before & (LETTER | NUMBER) != 0 && is_mark(&text[at..]))
}

fn is_mark(text: &[u8]) -> bool {
    const WIDE: [&str; 7] = ["，", "。", "、", "；", "：", "！", "？"];
    (text[0].is_ascii_punctuation() && text[0] != b'\'') || WIDE.iter().any(|mark| text.starts_with(mark.as_bytes()))
}

/// Return the end of the blanks that begin at `at`.
fn after_blanks(text: &[u8], mut at: usize) -> usize {
    while let Some((BLANK, length)) = class_at(text, at) {
        at += length;
    }
    at
}

/// Return whether the white space before `at`, which begins after a visible character, has no line end.
fn is_visible_before_blanks(text: &[u8], mut at: usize) -> bool {
    while let Some((BLANK, length)) = class_before(text, at) {
        at -= length;
    }
    class_before(text, at).is_some_and(|(class, _)| class & SPACE == 0)
}

fn is_visible(text: &[u8], at: usize) -> bool {
    class_at(text, at).is_some_and(|(class, _)| class & SPACE == 0)
}

/// Return class and length of the character that begins at `at`, if there is one.
fn class_at(text: &[u8], at: usize) -> Option<(Set, usize)> {
    let length = match *text.get(at)? {
        0..0x80 => 1,
        0xC2..0xE0 => 2,
        0xE0..0xF0 => 3,
        0xF0..0xF5 => 4,
        _ => return None,
    };
    let character = std::str::from_utf8(text.get(at..at + length)?).ok()?;
    Some(Reader::new(character).class(0))
}

/// Return class and length of the character that ends at `at`, if there is one.
fn class_before(text: &[u8], at: usize) -> Option<(Set, usize)> {
    let length = (1..=at.min(4)).find(|length| text[at - length] & 0xC0 != 0x80)?;
    class_at(text, at - length).filter(|(_, found)| *found == length)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::split::Splitter;
    use crate::split::known::KNOWN;
    use proptest::prelude::*;

    fn pretokens(splitter: &Splitter, text: &[u8]) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        splitter.split(text, |pretoken| found.push(pretoken.to_vec())).unwrap();
        found
    }

    /// Check every place that may be cut when only `text[window]` is visible.
    fn check_cuts(text: &[u8], window: std::ops::Range<usize>) {
        for known in &KNOWN {
            let splitter = Splitter::new(Some(known.spellings[0])).unwrap();
            let whole = pretokens(&splitter, text);
            let seen = &text[window.clone()];
            for cut in (1..seen.len()).filter(|&at| is_cut(known.rule, seen, at)) {
                let (left, right) = text.split_at(window.start + cut);
                let apart = [pretokens(&splitter, left), pretokens(&splitter, right)].concat();
                assert_eq!(apart, whole, "{:?} of {:?}", window.start + cut, String::from_utf8_lossy(text));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn parts_split_alone_as_they_do_together(
            text in "([a-cA'sltL0-9.,/! \r\n\t1é中，。\u{3000}\u{301}\u{a0}\u{85}\u{0}]|'ll|'RE|x\r\ny|\r\n\r\n|\n  |  \n|[.]\n/|\\{\"a\": 1, ){0,30}",
            start in any::<prop::sample::Index>(),
            length in any::<prop::sample::Index>(),
            damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        ) {
            let mut text = text.into_bytes();
            if let (Some((at, byte)), false) = (damage, text.is_empty()) {
                let at = at.index(text.len());
                text[at] = byte;
            }
            let start = start.index(text.len() + 1);
            let end = start + length.index(text.len() - start + 1);
            check_cuts(&text, start..end);
            check_cuts(&text, 0..text.len());
        }
    }

    /// Memory used to follow the whole text in all of these forms.
    #[test]
    fn every_form_of_text_has_places_to_cut() {
        let forms = [
            "words\r\nand lines\r\n",
            "one line of words ",
            "{\"a\":1,\"b\":[2,3]}",
            "    indented\n\n    code  \n",
            " \t trailing \t \r\n",
            "text\r\n\r\n\r\n",
            "第一行。第二行，",
            "слова и строки\n",
            "0f3a9b",
        ];
        for form in forms {
            for known in &KNOWN {
                let text = form.repeat(100);
                let middle = text.len() / 2 + 1;
                let (first, last) = (first(known.rule, &text.as_bytes()[middle..]), last(known.rule, text.as_bytes()));
                assert!(first.is_some_and(|at| at <= 2 * form.len()), "{form:?} {first:?}");
                assert!(last.is_some_and(|at| at + 2 * form.len() >= text.len()), "{form:?} {last:?}");
                check_cuts(&text.as_bytes()[..form.len() * 4], 0..form.len() * 4);
            }
        }
        for run in ["a", "\0", " ", "\r\n", "9"] {
            assert!(KNOWN.iter().all(|known| first(known.rule, run.repeat(100).as_bytes()).is_none()));
        }
    }
}
