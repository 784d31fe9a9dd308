//! Special tokens in text, as in tiktoken: found only if the caller allows them, and an error if the caller
//! disallows them.
//!
//! The leftmost match is taken, and the longest one if several start at the same place. (tiktoken joins the tokens
//! into a regex in hash-map order, so its choice between a token and its prefix is random. Hugging Face takes the
//! longest, as bytemill does.) Added tokens that are not special are found under any policy.

use crate::error::{Error, Result};
use crate::split::CUT_CONTEXT;
use crate::vocab::{Added, AddedToken, Finder, Normalizer, Vocab};
use std::borrow::Cow;
use std::sync::Arc;

/// A selection of special tokens.
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
}

/// How to handle special tokens in text. Make it once for many texts.
#[derive(Clone, Debug)]
pub struct SpecialPolicy {
    added: Arc<Added>,
    allowed: Choice,
    disallowed: Disallowed,
    finds_any: bool,
}

/// Some of the special tokens.
#[derive(Clone, Debug)]
enum Choice {
    None,
    All,
    /// For each added token whether it is one of them.
    Some(Vec<bool>),
}

#[derive(Clone, Debug)]
enum Disallowed {
    /// Special tokens of the vocabulary.
    Tokens(Choice),
    /// Any texts, and whether one of them may be cut.
    Texts(Arc<Finder>, bool),
}

impl Choice {
    fn of(added: &Added, texts: &[&str]) -> Self {
        if texts.is_empty() {
            return Self::None;
        }
        let mut chosen = vec![false; added.tokens().len()];
        for place in texts.iter().filter_map(|text| added.place(text)) {
            chosen[place] = added.tokens()[place].special;
        }
        if chosen.contains(&true) { Self::Some(chosen) } else { Self::None }
    }

    /// All special tokens but these.
    fn others(&self, added: &Added) -> Self {
        match self {
            _ if added.special().is_empty() => Self::None,
            Self::None => Self::All,
            Self::All => Self::None,
            Self::Some(chosen) => {
                Self::Some(chosen.iter().zip(added.tokens()).map(|(chosen, token)| !chosen && token.special).collect())
            }
        }
    }

    /// Whether it holds the special token at `place` among the added tokens.
    fn contains(&self, place: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Some(chosen) => chosen[place],
        }
    }
}

impl SpecialPolicy {
    /// Special tokens in `allowed` become their ids, text in `disallowed` is refused, and what is in
    /// neither is text like any other. As in tiktoken, `disallowed` need not be special tokens.
    pub fn new(vocab: &Vocab, allowed: Specials, disallowed: Specials) -> Result<Self> {
        let added = vocab.added();
        let allowed = match allowed {
            Specials::All => Choice::All,
            Specials::Of(texts) => Choice::of(added, texts),
        };
        let disallowed = match disallowed {
            Specials::All => Disallowed::Tokens(allowed.others(added)),
            Specials::Of(texts) if texts.iter().all(|text| is_special(added, text)) => {
                Disallowed::Tokens(Choice::of(added, texts))
            }
            Specials::Of(texts) => {
                let may_be_cut = texts.iter().any(|text| text.contains(CUT_CONTEXT));
                let texts: Vec<_> = texts.iter().map(|text| (Cow::Borrowed(*text), 0)).collect();
                Disallowed::Texts(Arc::new(Finder::new(&texts)?), may_be_cut)
            }
        };
        let finds_any = match &allowed {
            Choice::None => added.finds_in_any_text(),
            Choice::All | Choice::Some(_) => !added.tokens().is_empty(),
        };
        Ok(Self { added: Arc::clone(added), allowed, disallowed, finds_any })
    }

    /// Whether a text that is looked for may lie across a place where [`crate::split::Splitter::parts`] cuts.
    pub(crate) fn may_be_cut(&self) -> bool {
        matches!(self.disallowed, Disallowed::Texts(_, true)) || self.looked_for().any(may_be_cut)
    }

    /// Whether it finds any token at all.
    pub(crate) fn finds_any(&self) -> bool {
        self.finds_any
    }

    /// Whether the added token at `place` becomes its id.
    pub(crate) fn finds(&self, place: usize) -> bool {
        !self.added.tokens()[place].special || self.allowed.contains(place)
    }

    /// Whether a text that is looked for may lie across the byte at `at` of `text`, which may go on.
    ///
    /// True everywhere where more than the bytes of a token decides on what it matches.
    pub(crate) fn may_lie_across(&self, text: &[u8], at: usize) -> bool {
        let is_normalized = |token: &AddedToken| token.normalized && self.added.normalizer() != Normalizer::None;
        if self.looked_for().any(|token| token.looks_around() || is_normalized(token)) {
            return true;
        }
        let is_looked_for = |place: usize| self.finds(place) || self.refuses(place);
        let mut finders = [self.added.in_raw(), self.added.in_normalized()].into_iter();
        finders.any(|finder| finder.may_lie_across(text, at, is_looked_for))
            || matches!(&self.disallowed, Disallowed::Texts(finder, _) if finder.may_lie_across(text, at, |_| true))
    }

    /// The added tokens that become their ids or are refused.
    fn looked_for(&self) -> impl Iterator<Item = &AddedToken> {
        let tokens = self.added.tokens().iter().enumerate();
        tokens.filter(|(place, _)| self.finds(*place) || self.refuses(*place)).map(|(_, token)| token)
    }

    fn refuses(&self, place: usize) -> bool {
        match &self.disallowed {
            Disallowed::Tokens(choice) => self.added.tokens()[place].special && choice.contains(place),
            Disallowed::Texts(..) => false,
        }
    }

    /// Return an error for the first disallowed text in `text`.
    pub(crate) fn check(&self, text: &str) -> Result<()> {
        let added = &*self.added;
        let refused = match &self.disallowed {
            Disallowed::Tokens(Choice::None) => None,
            Disallowed::Tokens(choice) => {
                let is_refused = |place: usize| added.tokens()[place].special && choice.contains(place);
                let raw = added.in_raw().find(text, 0, is_refused);
                raw.map(|(span, _)| text[span].to_owned()).or_else(|| self.refused_when_normalized(text, is_refused))
            }
            Disallowed::Texts(finder, _) => finder.find(text, 0, |_| true).map(|(span, _)| text[span].to_owned()),
        };
        refused.map_or(Ok(()), |token| Err(Error::DisallowedSpecial { token }))
    }

    fn refused_when_normalized(&self, text: &str, is_refused: impl Fn(usize) -> bool) -> Option<String> {
        let finder = self.added.in_normalized();
        if finder.is_empty() {
            return None;
        }
        let normalized = self.added.normalizer().normalize(text);
        finder.find(&normalized, 0, is_refused).map(|(span, _)| normalized[span].to_owned())
    }
}

fn may_be_cut(token: &AddedToken) -> bool {
    token.looks_around()
        || token.content.contains(CUT_CONTEXT)
        || Normalizer::Nfc.normalize(&token.content).contains(CUT_CONTEXT)
}

fn is_special(added: &Added, text: &str) -> bool {
    added.place(text).is_some_and(|place| added.tokens()[place].special)
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
        let first = |policy: &SpecialPolicy, text, start| {
            let found = policy.added.in_raw().find(text, start, |place| policy.finds(place));
            found.map(|(span, place)| (span, policy.added.tokens()[place].id))
        };
        let all = policy(Specials::All, Specials::All);
        assert_eq!(first(&all, "x<a><b><c>", 0), Some((1..7, 257)));
        assert_eq!(first(&all, "x<a><b><c>", 4), Some((7..10, 258)));
        let some = policy(Specials::Of(&["<a>", "unknown"]), Specials::NONE);
        assert_eq!(first(&some, "<c><a><b>", 0), Some((3..6, 256)));
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
