//! Compare shards with their source text, in bounded memory.
//!
//! If the concatenated bytes of a text's ids are the text, every token is decoded. If encoding changes text (a
//! normalizer, added tokens that strip white space, inserted spaces), the text is encoded again and the ids are
//! compared.

mod bytes;
mod ids;

use std::path::Path;

use super::budget::Share;
use super::encode_document::EncodeDocument;
use super::order::Order;
use super::progress::{Progress, Stage};
use super::scan::Corpus;
use crate::error::{Error, Result};
use crate::shard::{Manifest, Run};

/// Bytes of each side to show in a message.
const SHOWN_BYTES: usize = 40;

/// The data to compare.
pub(super) struct Check<'a, T> {
    pub(super) corpus: &'a Corpus,
    pub(super) order: &'a Order,
    pub(super) tokenizer: &'a T,
    pub(super) folder: &'a Path,
    pub(super) manifest: &'a Manifest,
    /// How much text to encode at a time.
    pub(super) share: Share,
}

/// The current split, and the number of documents begun in it.
#[derive(Default)]
struct Begun {
    n: u64,
    split: Option<&'static str>,
}

impl<T: EncodeDocument> Check<'_, T> {
    /// Return an error for the first token that does not match the text, with shard, document and place.
    pub(super) fn run(&self, report: &mut dyn FnMut(&Progress) -> Result<()>) -> Result<()> {
        if self.tokenizer.keeps_text() { self.compare_bytes(report) } else { self.compare_ids(report) }
    }

    fn nothing_yet(&self) -> Progress {
        let total_bytes = self.corpus.total_bytes();
        Progress { stage: Stage::Check, bytes: 0, total_bytes, documents: 0, tokens: 0 }
    }

    fn different(&self, run: &Run, token: u64, document: &str, reason: &str) -> Error {
        let path = self.folder.join(&run.entry.name);
        Error::format(path, format!("token {token}, {document}: {reason}; prepare the text again into an empty folder"))
    }

    fn lacks(&self, place: &str) -> Error {
        Error::format(self.folder, format!("does not contain the document at {place}"))
    }
}

impl Begun {
    /// Record the split of `run`.
    fn enter(&mut self, run: &Run) {
        if self.split != Some(run.entry.split.name()) {
            *self = Self { n: 0, split: Some(run.entry.split.name()) };
        }
    }

    /// Describe the current document by its number in the split and its place in the sources.
    fn named(&self, place: Option<String>) -> String {
        let number = match self.n {
            // The document began in the previous split.
            0 => "the document that is split between validation and training".to_owned(),
            n => format!("document {} of {}", n - 1, self.split.unwrap_or_default()),
        };
        number + &place.map(|place| format!(" ({place})")).unwrap_or_default()
    }
}

/// Return the first bytes as text in quotes.
fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = if bytes.len() > SHOWN_BYTES { " …" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}
