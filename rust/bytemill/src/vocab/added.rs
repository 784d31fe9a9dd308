//! Finds added tokens in text before it is split, and normalizes the text between them.
//!
//! Special tokens are found only if the caller allows them. Other added tokens, such as `<think>` or the rows of
//! spaces of `CodeGen`, are found in any text. The rules are those of Hugging Face's `tokenizers`. First the tokens
//! that are not `normalized` are found in the raw text. Then the text between them is normalized, and the
//! `normalized` tokens are found in it.

use super::finder::Finder;
use super::nfc::nfc;
use crate::error::{VocabFault, show};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// A token that is found in text as a whole, without merging. The flags are those of `tokenizer.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of tokenizer.json")]
pub struct AddedToken {
    /// The text of the token.
    pub content: String,
    /// The id of the token.
    pub id: u32,
    /// Whether it is found only if the caller allows it; other added tokens are found in any text.
    pub special: bool,
    /// Whether its normalized content is searched for in the normalized text.
    pub normalized: bool,
    /// Whether the match includes white space before it.
    pub lstrip: bool,
    /// Whether the match includes white space after it.
    pub rstrip: bool,
    /// Whether it is found only between characters that are not word characters.
    pub single_word: bool,
}

impl AddedToken {
    /// Create a special token without further rules.
    pub fn special(content: impl Into<String>, id: u32) -> Self {
        let (content, no) = (content.into(), false);
        Self { content, id, special: true, normalized: no, lstrip: no, rstrip: no, single_word: no }
    }

    /// Return whether this equals the result of [`AddedToken::special`], which every format can hold.
    pub(crate) fn is_plain(&self) -> bool {
        self.special && !self.normalized && !self.looks_around()
    }

    /// Return whether a match depends on the characters next to it.
    pub(crate) fn looks_around(&self) -> bool {
        self.lstrip || self.rstrip || self.single_word
    }
}

/// The normalization of text before it is split; added tokens are not affected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Normalizer {
    /// No normalization.
    #[default]
    None,
    /// Unicode's canonical composition (NFC).
    Nfc,
}

impl Normalizer {
    /// Combine this with `next`; composing twice equals composing once.
    pub(crate) fn then(self, next: Self) -> Self {
        if self == Self::None { next } else { self }
    }

    /// Return `text` normalized.
    pub fn normalize(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::None => Cow::Borrowed(text),
            Self::Nfc => nfc(text),
        }
    }
}

/// The added tokens of a vocabulary and the automata that find them. Immutable.
#[derive(Debug, Default)]
pub(crate) struct Added {
    tokens: Vec<AddedToken>,
    special: Vec<(String, u32)>,
    /// The index in `tokens` of each token, by content.
    places: HashMap<String, usize>,
    normalizer: Normalizer,
    in_raw: Finder,
    in_normalized: Finder,
}

/// Building the search takes time quadratic in the length of the tokens; real tokens are shorter than this.
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

    /// Return the added tokens by ascending id.
    pub(crate) fn tokens(&self) -> &[AddedToken] {
        &self.tokens
    }

    /// Return the special tokens by ascending id.
    pub(crate) fn special(&self) -> &[(String, u32)] {
        &self.special
    }

    /// Return the index in [`Added::tokens`] of the token with this text.
    pub(crate) fn place(&self, content: &str) -> Option<usize> {
        self.places.get(content).copied()
    }

    pub(crate) fn normalizer(&self) -> Normalizer {
        self.normalizer
    }

    /// Return the finder for tokens that are searched for before normalization.
    pub(crate) fn in_raw(&self) -> &Finder {
        &self.in_raw
    }

    /// Return the finder for tokens that are searched for after normalization.
    pub(crate) fn in_normalized(&self) -> &Finder {
        &self.in_normalized
    }

    /// Return whether text reaches the splitter unchanged if no special token is allowed.
    pub(crate) fn leaves_text(&self) -> bool {
        !self.finds_in_any_text() && self.normalizer == Normalizer::None
    }

    /// Return whether there are tokens that are not special.
    pub(crate) fn finds_in_any_text(&self) -> bool {
        self.tokens.len() > self.special.len()
    }

    /// Return whether the ids cover all bytes of the text if the tokens that `is_found` accepts are found.
    pub(crate) fn keeps_every_byte(&self, is_found: impl Fn(&AddedToken) -> bool) -> bool {
        let takes_space = |token: &AddedToken| token.lstrip || token.rstrip;
        self.normalizer == Normalizer::None && !self.tokens.iter().any(|token| takes_space(token) && is_found(token))
    }

    /// Return the text that `token` decodes to.
    pub(super) fn text_of<'t>(&self, token: &'t AddedToken) -> Cow<'t, str> {
        pattern(token, self.normalizer)
    }
}

/// Return the text to search for.
fn pattern(token: &AddedToken, normalizer: Normalizer) -> Cow<'_, str> {
    if token.normalized { normalizer.normalize(&token.content) } else { Cow::Borrowed(&token.content) }
}

/// Check that added tokens differ from each other, and that normalized ones differ after normalization.
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
