//! Special tokens in text, as tiktoken treats them: found only where the caller allows it, and an
//! error where the caller forbids them.
//!
//! Found means leftmost, and of several that start at one place the longest. (tiktoken joins them in
//! a regex in the order of a hash map, so there the choice between a token and its prefix is left
//! to chance; Hugging Face takes the longest, as we do.)

use crate::error::{Error, Result};
use crate::split::CUT_BESIDE;
use crate::vocab::Vocab;
use aho_corasick::{AhoCorasick, Anchored, Input, MatchKind};
use std::ops::Range;

/// Which special tokens are meant.
#[derive(Clone, Copy, Debug)]
pub enum Specials<'s> {
    /// Every one; as disallowed: every one that is not allowed.
    All,
    /// Those with these texts.
    Of(&'s [&'s str]),
}

impl Specials<'_> {
    /// None of them.
    pub const NONE: Self = Self::Of(&[]);

    fn contains(&self, text: &str) -> bool {
        match self {
            Self::All => true,
            Self::Of(texts) => texts.contains(&text),
        }
    }
}

/// What to do about special tokens in text; made once for many texts.
#[derive(Clone, Debug)]
pub struct SpecialPolicy {
    allowed: Finder,
    ids: Vec<u32>,
    disallowed: Finder,
    may_be_cut: bool,
}

impl SpecialPolicy {
    /// Special tokens in `allowed` become their ids, text in `disallowed` is refused, and what is in
    /// neither is text like any other. As in tiktoken, `disallowed` need not be special tokens.
    pub fn new(vocab: &Vocab, allowed: Specials, disallowed: Specials) -> Result<Self> {
        let (taken, left): (Vec<_>, Vec<_>) =
            vocab.special_tokens().iter().partition(|(text, _)| allowed.contains(text));
        let left: Vec<&str> = left.iter().map(|(text, _)| text.as_str()).collect();
        let has_a_cut = |text: &str| text.contains(CUT_BESIDE);
        let may_be_cut = taken.iter().any(|(text, _)| has_a_cut(text))
            || match disallowed {
                Specials::All => left.iter().any(|text| has_a_cut(text)),
                Specials::Of(texts) => texts.iter().any(|text| has_a_cut(text)),
            };
        Ok(Self {
            may_be_cut,
            allowed: Finder::new(taken.iter().map(|(text, _)| text.as_str()))?,
            ids: taken.iter().map(|(_, id)| *id).collect(),
            disallowed: match disallowed {
                Specials::All => Finder::new(left.iter().copied())?,
                Specials::Of(texts) => Finder::new(texts.iter().copied())?,
            },
        })
    }

    /// Whether a text that is looked for may lie across a place where [`crate::split::Splitter::parts`] cuts.
    pub(crate) fn may_be_cut(&self) -> bool {
        self.may_be_cut
    }

    /// Whether a text that is looked for may lie across the byte at `at` of `text`, which may go on.
    pub(crate) fn may_lie_across(&self, text: &[u8], at: usize) -> bool {
        self.allowed.may_lie_across(text, at) || self.disallowed.may_lie_across(text, at)
    }

    /// Fails with the first disallowed text in `text`.
    pub(crate) fn check(&self, text: &str) -> Result<()> {
        match self.disallowed.find(text, 0) {
            Some((span, _)) => Err(Error::DisallowedSpecial { token: text[span].to_owned() }),
            None => Ok(()),
        }
    }

    /// The first allowed special token at or after `start`, and its id.
    pub(crate) fn next_special(&self, text: &str, start: usize) -> Option<(Range<usize>, u32)> {
        self.allowed.find(text, start).map(|(span, which)| (span, self.ids[which]))
    }
}

/// Finds the leftmost longest of some strings.
#[derive(Clone, Debug)]
struct Finder(Option<AhoCorasick>);

impl Finder {
    fn new<'s>(texts: impl Iterator<Item = &'s str>) -> Result<Self> {
        let texts: Vec<&str> = texts.collect();
        if texts.is_empty() {
            return Ok(Self(None));
        }
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&texts);
        automaton.map(|automaton| Self(Some(automaton))).map_err(|error| Error::Argument {
            name: "special_tokens",
            got: format!("{} texts", texts.len()),
            expected: format!("what one automaton can hold ({error})"),
        })
    }

    fn find(&self, text: &str, start: usize) -> Option<(Range<usize>, usize)> {
        let input = Input::new(text).range(start..).anchored(Anchored::No);
        self.0.as_ref()?.find(input).map(|found| (found.range(), found.pattern().as_usize()))
    }

    /// Whether one of the strings may lie across the byte at `at` of `text`, which may go on.
    fn may_lie_across(&self, text: &[u8], at: usize) -> bool {
        let Some(automaton) = &self.0 else { return false };
        let longest = automaton.max_pattern_len();
        if text.len() < at + longest {
            return true;
        }
        let mut start = at.saturating_sub(longest);
        while let Some(found) = automaton.find(Input::new(text).range(start..at + longest)) {
            if found.start() >= at {
                return false;
            }
            if found.end() > at {
                return true;
            }
            start = found.start() + 1;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn policy(allowed: Specials, disallowed: Specials) -> SpecialPolicy {
        let vocab = Vocab::from_merges(&[], &["<a>", "<a><b>", "<c>"]).unwrap();
        SpecialPolicy::new(&vocab, allowed, disallowed).unwrap()
    }

    #[test]
    fn the_leftmost_longest_allowed_token_is_found() {
        let all = policy(Specials::All, Specials::All);
        assert_eq!(all.next_special("x<a><b><c>", 0), Some((1..7, 257)));
        assert_eq!(all.next_special("x<a><b><c>", 4), Some((7..10, 258)));
        let some = policy(Specials::Of(&["<a>", "unknown"]), Specials::NONE);
        assert_eq!(some.next_special("<c><a><b>", 0), Some((3..6, 256)));
    }

    #[test]
    fn only_what_is_looked_for_can_be_cut() {
        for special in ["<\n>", "<字。>"] {
            let vocab = Vocab::from_merges(&[], &["<a>", special]).unwrap();
            let may_be = |allowed, disallowed| SpecialPolicy::new(&vocab, allowed, disallowed).unwrap().may_be_cut();
            assert!(may_be(Specials::All, Specials::NONE) && may_be(Specials::NONE, Specials::All));
            assert!(!may_be(Specials::Of(&["<a>"]), Specials::NONE));
            assert!(may_be(Specials::NONE, Specials::Of(&["x\ny"])) && may_be(Specials::NONE, Specials::Of(&["字，"])));
        }
    }

    #[test]
    fn a_cut_is_not_put_where_a_token_lies_or_may_begin() {
        let all = policy(Specials::All, Specials::NONE);
        let text = b"some words <a><b> and more of them";
        let across: Vec<_> = (0..text.len()).filter(|&at| all.may_lie_across(text, at)).collect();
        let at_the_end = text.len() - 5..text.len();
        assert_eq!(across, (12..17).chain(at_the_end).collect::<Vec<_>>());
        let one = policy(Specials::Of(&["<c>"]), Specials::NONE);
        assert!(!one.may_lie_across(text, 13) && one.may_lie_across(b"a <c", 3));
        assert!(!policy(Specials::NONE, Specials::NONE).may_lie_across(text, 13));
    }

    #[test]
    fn what_is_disallowed_is_named() {
        let message = |policy: SpecialPolicy, text| policy.check(text).map_err(|error| error.to_string());
        let expected = Err("text contains the special token \"<c>\", which is disallowed here".to_owned());
        assert_eq!(message(policy(Specials::Of(&["<a>"]), Specials::All), "<a><c>"), expected);
        assert_eq!(message(policy(Specials::All, Specials::Of(&["<c>"])), "<a><c>"), expected);
        assert_eq!(message(policy(Specials::All, Specials::All), "<a><c>"), Ok(()));
        assert_eq!(message(policy(Specials::NONE, Specials::NONE), "<a><c>"), Ok(()));
    }
}
