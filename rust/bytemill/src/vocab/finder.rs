//! Finds the leftmost longest match of a set of strings, among those that the caller currently accepts.
//!
//! One automaton is built for all strings. If it finds a string that is not wanted, the longest wanted string that
//! begins there is a prefix of it. If there is no such prefix, the search continues after the first byte.

use crate::error::VocabFault;
use aho_corasick::{AhoCorasick, Input, MatchKind};
use std::borrow::Cow;
use std::ops::Range;

/// An automaton for strings, each with a number chosen by the caller.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    automaton: Option<AhoCorasick>,
    /// The length of each string in bytes, and the caller's number for it.
    strings: Vec<(usize, usize)>,
    /// For each string, the longest other string that is a prefix of it.
    shorter: Vec<Option<usize>>,
}

impl Finder {
    /// Create a finder for `strings`, which must be distinct and not empty.
    pub(crate) fn new(strings: &[(Cow<'_, str>, usize)]) -> Result<Self, VocabFault> {
        if strings.is_empty() {
            return Ok(Self::default());
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(strings.iter().map(|(text, _)| text.as_bytes()))
            .map_err(|error| VocabFault::TooManySpecial { n: strings.len(), reason: error.to_string() })?;
        let shorter = longest_prefixes(strings);
        let strings = strings.iter().map(|(text, number)| (text.len(), *number)).collect();
        Ok(Self { automaton: Some(automaton), strings, shorter })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.automaton.is_none()
    }

    /// Return the first wanted string in `text` at or after `start`, and its number.
    pub(crate) fn find(
        &self,
        text: &str,
        mut start: usize,
        is_wanted: impl Fn(usize) -> bool,
    ) -> Option<(Range<usize>, usize)> {
        let automaton = self.automaton.as_ref()?;
        while let Some(found) = automaton.find(Input::new(text).range(start..)) {
            let mut string = Some(found.pattern().as_usize());
            while let Some(one) = string {
                let (n_bytes, number) = self.strings[one];
                if is_wanted(number) {
                    return Some((found.start()..found.start() + n_bytes, number));
                }
                string = self.shorter[one];
            }
            start = found.start() + 1;
        }
        None
    }

    /// Return whether a wanted string may cross the byte at `at` of `text`, which may be continued.
    pub(crate) fn may_lie_across(&self, text: &[u8], at: usize, is_wanted: impl Fn(usize) -> bool) -> bool {
        let Some(automaton) = &self.automaton else { return false };
        if !self.strings.iter().any(|(_, number)| is_wanted(*number)) {
            return false;
        }
        let longest = automaton.max_pattern_len();
        if text.len() < at + longest {
            return true;
        }
        let mut start = at.saturating_sub(longest);
        while let Some(found) = automaton.find(Input::new(text).range(start..at + longest)) {
            if found.start() >= at {
                return false;
            }
            let mut string = Some(found.pattern().as_usize());
            while let Some(one) = string {
                let (n_bytes, number) = self.strings[one];
                if found.start() + n_bytes > at && is_wanted(number) {
                    return true;
                }
                string = self.shorter[one];
            }
            start = found.start() + 1;
        }
        false
    }
}

/// Return for each of `strings` the longest other one that is a prefix of it.
fn longest_prefixes(strings: &[(Cow<'_, str>, usize)]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..strings.len()).collect();
    order.sort_unstable_by_key(|&one| &strings[one].0);
    let (mut prefixes, mut open) = (vec![None; strings.len()], Vec::<usize>::new());
    for one in order {
        while open.last().is_some_and(|&last| !strings[one].0.starts_with(&*strings[last].0)) {
            open.pop();
        }
        prefixes[one] = open.last().copied();
        open.push(one);
    }
    prefixes
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_leftmost_longest_wanted_string_is_found(
            strings in prop::collection::btree_set("[ab]{1,4}", 1..9),
            text in "[abc]{0,24}",
            wanted in any::<u16>(),
            start in 0..24_usize,
        ) {
            let strings: Vec<(Cow<'_, str>, usize)> = strings.into_iter().map(Cow::Owned).zip(0..).collect();
            let is_wanted = |number: usize| wanted >> number & 1 == 1;
            let start = start.min(text.len());
            let by_hand = (start..text.len()).find_map(|at| {
                let here = strings.iter().filter(|(one, number)| is_wanted(*number) && text[at..].starts_with(&**one));
                here.max_by_key(|(one, _)| one.len()).map(|(one, number)| (at..at + one.len(), *number))
            });
            prop_assert_eq!(Finder::new(&strings).unwrap().find(&text, start, is_wanted), by_hand);
        }
    }
}
