//! Code shared by all formats: the caller's choices, JSON parsing, and errors that name the file.

use crate::error::{Error, Result, VocabFault};
use crate::split::Splitter;
use crate::vocab::{Normalizer, Vocab};
use std::path::Path;

/// The source of the pattern when a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatternChoice<'p> {
    /// From the file. For a known file of a format without a pattern, the known pattern is used.
    Auto,
    /// From the caller, overriding the file; see [`Splitter::new`].
    Given(Option<&'p str>),
}

impl PatternChoice<'_> {
    /// Return the chosen splitter; `of_file` is the pattern in the file.
    pub(super) fn splitter(self, of_file: Option<&str>) -> Result<Splitter> {
        match self {
            Self::Auto => Splitter::new(of_file),
            Self::Given(pattern) => Splitter::new(pattern),
        }
    }
}

/// Special tokens given by a caller: the text, and an id or `None` for the next free one.
pub type GivenSpecials<'s> = Option<&'s [(&'s str, Option<u32>)]>;

pub(super) fn parse<'de, T: serde::Deserialize<'de>>(path: &Path, text: &'de str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::format(path, error.to_string()))
}

/// Turn an error in the vocabulary of `path` into an error of that file; `place` may add the position.
pub(super) fn in_file(path: &Path, error: Error, place: impl Fn(&VocabFault) -> Option<String>) -> Error {
    match error {
        Error::Vocab(fault) => match place(&fault) {
            Some(place) => Error::format(path, format!("{place}: {fault}")),
            None => Error::format(path, fault.to_string()),
        },
        other => other,
    }
}

/// Return an error if the vocabulary has a normalizer or added tokens that are not plain special tokens, for formats
/// that cannot store these.
pub(super) fn refuse_added(format: &'static str, vocab: &Vocab) -> Result<()> {
    if vocab.normalizer() != Normalizer::None {
        return Err(cannot_write(format, "it cannot store a normalizer"));
    }
    match vocab.added_tokens().iter().find(|token| !token.special || token.looks_around()) {
        Some(token) => {
            let what = if token.special { "has rules about its neighbours" } else { "is found in any text" };
            let (id, content) = (token.id, &token.content);
            Err(cannot_write(format, format!("it cannot store that the added token {id}, {content:?}, {what}")))
        }
        None => Ok(()),
    }
}

/// Return the error for content that `format` cannot hold.
pub(super) fn cannot_write(format: &'static str, reason: impl Into<String>) -> Error {
    Error::Argument {
        name: "format",
        got: format!("{format:?}"),
        expected: format!("another, since {}", reason.into()),
    }
}
