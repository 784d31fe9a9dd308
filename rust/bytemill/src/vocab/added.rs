//! Tokens that are found in text before it is split, and the normalization of what lies between them.
//!
//! Special tokens are found only where the caller allows it. The others, such as `<think>` or the rows of spaces of
//! `CodeGen`, are found in any text. The rules are those of Hugging Face's `tokenizers`: first the tokens that are not
//! `normalized` are found in the raw text; what lies between is normalized, and the `normalized` tokens are found in it.

use super::finder::Finder;
use super::nfc::nfc;
use crate::error::{VocabFault, show};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// A token that text becomes without merging. The flags are those of `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of tokenizer.json")]
pub struct AddedToken {
    /// The text that becomes the token.
    pub content: String,
    /// Its id.
    pub id: u32,
    /// Whether it is found only where the caller allows it; all others are found in any text.
    pub special: bool,
    /// Whether it is found in the normalized text, normalized itself.
    pub normalized: bool,
    /// Whether white space before it belongs to the match.
    pub lstrip: bool,
    /// Whether white space after it belongs to the match.
    pub rstrip: bool,
    /// Whether it is found only where no word character is next to it.
    pub single_word: bool,
}

impl AddedToken {
    /// A special token without further rules.
    pub fn special(content: impl Into<String>, id: u32) -> Self {
        let (content, no) = (content.into(), false);
        Self { content, id, special: true, normalized: no, lstrip: no, rstrip: no, single_word: no }
    }

    /// Whether this is what [`AddedToken::special`] makes, which every format can hold.
    pub(crate) fn is_plain(&self) -> bool {
        self.special && !self.normalized && !self.looks_around()
    }

    /// Whether the characters next to it decide whether or what it matches.
    pub(crate) fn looks_around(&self) -> bool {
        self.lstrip || self.rstrip || self.single_word
    }
}

/// What text goes through before it is split, apart from added tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// Nothing.
    #[default]
    None,
    /// Unicode's canonical composition.
    Nfc,
}

impl Normalizer {
    /// This and then `next`; composed text stays composed.
    pub(crate) fn then(self, next: Self) -> Self {
        if self == Self::None { next } else { self }
    }

    /// `text` as it is encoded.
    pub fn normalize(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Nfc => nfc(text),
        }
    }
}

/// The added tokens of a vocabulary with what finds them; never changes once made.
#[derive(Debug, Default)]
pub(crate) struct Added {
    tokens: Vec<AddedToken>,
    special: Vec<(String, u32)>,
    /// By content, where in `tokens` each lies.
    places: HashMap<String, usize>,
    normalizer: Normalizer,
    in_raw: Finder,
    in_normalized: Finder,
}

/// To prepare the search for added tokens takes time in the square of their length; none in use is longer.
const MAX_ADDED_BYTES: usize = 1 << 10;

impl Added {
    pub(super) fn new(mut tokens: Vec<AddedToken>, normalizer: Normalizer) -> Result<Self, VocabFault> {
        check(&tokens, normalizer)?;
        tokens.sort_by_key(|token| token.id);
        let special = tokens.iter().filter(|token| token.special);
        let special = special.map(|token| (token.content.clone(), token.id)).collect();
        let places = tokens.iter().map(|token| token.content.clone()).zip(0..).collect();
        let finder = |normalized: bool| {
            let those = (0..).zip(&tokens).filter(|(_, token)| token.normalized == normalized);
            let texts: Vec<_> = those.map(|(place, token)| (pattern(token, normalizer), place)).collect();
            Finder::new(&texts)
        };
        let (in_raw, in_normalized) = (finder(false)?, finder(true)?);
        Ok(Self { tokens, special, places, normalizer, in_raw, in_normalized })
    }

    /// By ascending id.
    pub(crate) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// The special ones by ascending id.
    pub(crate) fn special(&self) -> &[(String, u32)] {
        &self.special
    }

    /// Where in [`Added::tokens`] the one with this text is.
    pub(crate) fn place(&self, content: &str) -> Option<usize> {
        self.places.get(content).copied()
    }

    pub(crate) fn normalizer(&self) -> Normalizer {
        self.normalizer
    }

    /// Finds the tokens that are looked for before normalization.
    pub(crate) fn in_raw(&self) -> &Finder {
        &self.in_raw
    }

    /// Finds the tokens that are looked for after it.
    pub(crate) fn in_normalized(&self) -> &Finder {
        &self.in_normalized
    }

    /// Whether text in which no special token is allowed goes to the splitter as it is.
    pub(crate) fn leaves_text(&self) -> bool {
        !self.finds_in_any_text() && self.normalizer == Normalizer::None
    }

    /// Whether there are tokens that are not special.
    pub(crate) fn finds_in_any_text(&self) -> bool {
        self.tokens.len() > self.special.len()
    }

    /// Whether ids stand for all of the text, each for its bytes, where the tokens that `is_found` accepts are found.
    pub(crate) fn keeps_every_byte(&self, is_found: impl Fn(&AddedToken) -> bool) -> bool {
        let takes_space = |token: &AddedToken| token.lstrip || token.rstrip;
        self.normalizer == Normalizer::None && !self.tokens.iter().any(|token| takes_space(token) && is_found(token))
    }

    /// The text that `token` stands for when it is decoded.
    pub(super) fn text_of<'t>(&self, token: &'t AddedToken) -> Cow<'t, str> {
        pattern(token, self.normalizer)
    }
}

/// The text that is looked for.
fn pattern(token: &AddedToken, normalizer: Normalizer) -> Cow<'_, str> {
    if token.normalized { normalizer.normalize(&token.content) } else { Cow::Borrowed(&token.content) }
}

/// Added tokens must differ from each other, those that are normalized also after it.
fn check(tokens: &[AddedToken], normalizer: Normalizer) -> Result<(), VocabFault> {
    let (mut contents, mut patterns) = (HashMap::new(), HashSet::new());
    for (index, token) in tokens.iter().enumerate() {
        let AddedToken { content, id, normalized, .. } = token;
        let first = contents.insert(content, *id);
        let is_new = patterns.insert((pattern(token, normalizer), normalized));
        if first.is_some() || !is_new {
            let first = first.or_else(|| same_pattern(tokens, token, normalizer)).unwrap_or(*id);
            return Err(VocabFault::DuplicateToken { index, token: show(content.as_bytes()), id: *id, first });
        }
        if content.len() > MAX_ADDED_BYTES {
            return Err(VocabFault::SpecialTooLong { index, length: content.len(), limit: MAX_ADDED_BYTES });
        }
    }
    Ok(())
}

fn same_pattern(tokens: &[AddedToken], token: &AddedToken, normalizer: Normalizer) -> Option<u32> {
    let wanted = pattern(token, normalizer);
    tokens.iter().find(|other| pattern(other, normalizer) == wanted).map(|other| other.id)
}
