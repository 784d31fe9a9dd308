//! Compare shards with their text byte by byte: decode every token.

use super::super::encode_document::EncodeDocument;
use super::super::progress::Progress;
use super::super::scan::{Corpus, Span};
use super::{Begun, Check, quoted};
use crate::error::{Error, Result};
use crate::shard::{Run, Runs};

/// Bytes of text per read, for documents that can be read in parts.
const WINDOW_BYTES: u64 = 1 << 18;

impl<T: EncodeDocument> Check<'_, T> {
    /// Return an error for the first token that does not match the text.
    pub(super) fn compare_bytes(&self, report: &mut dyn FnMut(&Progress) -> Result<()>) -> Result<()> {
        let (decoded, begun, now) = (Vec::new(), Begun::default(), self.nothing_yet());
        let mut reading = Reading { check: self, text: None, next_item: 0, decoded, now, begun };
        let mut runs = Runs::new(self.folder, self.manifest);
        while let Some(run) = runs.peek()? {
            reading.take(&run)?;
            report(&reading.now)?;
            let n = run.ids.len();
            runs.advance(n);
        }
        reading.end()
    }
}

/// The state of the comparison.
struct Reading<'a, T> {
    check: &'a Check<'a, T>,
    /// The text of the current document.
    text: Option<Text<'a>>,
    next_item: u64,
    decoded: Vec<u8>,
    now: Progress,
    begun: Begun,
}

impl<T: EncodeDocument> Reading<'_, T> {
    fn take(&mut self, run: &Run) -> Result<()> {
        let (mut first, mut ids) = (run.first, run.ids);
        self.begun.enter(run);
        if run.begins {
            self.finish(Some(run))?;
            self.begin(run)?;
            if self.check.manifest.end_of_text.is_some() {
                // `verify` checks this id.
                (first, ids) = (first + 1, &ids[1..]);
            }
        }
        self.now.tokens += run.ids.len() as u64;
        self.compare(run, first, ids)
    }

    /// Compare `ids`, which are the ids from token `first` of the shard.
    fn compare(&mut self, run: &Run, first: u64, ids: &[u32]) -> Result<()> {
        let Some(text) = &mut self.text else {
            return Err(self.different(run, first, "belongs to no document"));
        };
        self.decoded.clear();
        let unknown = ids.iter().position(|&id| match self.check.tokenizer.token_bytes(id) {
            Some(bytes) => {
                self.decoded.extend_from_slice(bytes);
                false
            }
            None => true,
        });
        let n_equal = text.n_equal(&self.decoded)?;
        self.now.bytes += n_equal as u64;
        if n_equal < self.decoded.len() {
            let (place, at) = (token_at(self.check.tokenizer, ids, n_equal), text.at);
            let (there, tokens) = (text.shown()?, quoted(&self.decoded[n_equal..]));
            let reason = format!("byte {at} of the text is {there}, but the tokens are {tokens}");
            return Err(self.different(run, first + place as u64, &reason));
        }
        match unknown {
            Some(place) => {
                let reason = format!("id {} is not a text token", ids[place]);
                Err(self.different(run, first + place as u64, &reason))
            }
            None => Ok(()),
        }
    }

    /// Check that the last document's tokens cover all of its text; `next` is the run after it.
    fn finish(&mut self, next: Option<&Run>) -> Result<()> {
        let Some(text) = &mut self.text else { return Ok(()) };
        if text.is_at_end()? {
            return Ok(());
        }
        let (at, shown) = (text.at, text.shown()?);
        let reason = format!("the document's tokens end at byte {at} of its text, which continues with {shown}");
        Err(match next {
            Some(run) => self.different(run, run.first, &reason),
            None => Error::format(self.check.folder, format!("{}: {reason}", self.document())),
        })
    }

    /// Go to the next document. Without marks at document starts, a document without tokens is in no index.
    fn begin(&mut self, run: &Run) -> Result<()> {
        self.text = None;
        while self.next_item < self.check.order.n_items(self.check.corpus) {
            let span = self.check.order.span(self.check.corpus, self.next_item);
            self.next_item += 1;
            let mut text = Text::new(self.check.corpus, span);
            if self.check.manifest.end_of_text.is_some() || !text.is_at_end()? {
                self.text = Some(text);
                self.now.documents += 1;
                self.begun.n += 1;
                return Ok(());
            }
        }
        Err(self.different(run, run.first, "begins a document that is not in the sources"))
    }

    /// Check that no document is missing.
    fn end(&mut self) -> Result<()> {
        self.finish(None)?;
        while self.next_item < self.check.order.n_items(self.check.corpus) {
            let span = self.check.order.span(self.check.corpus, self.next_item);
            self.next_item += 1;
            let place = self.check.corpus.place(span.document);
            if self.check.manifest.end_of_text.is_some() || !Text::new(self.check.corpus, span).is_at_end()? {
                return Err(self.check.lacks(&place));
            }
        }
        Ok(())
    }

    /// Describe the current document.
    fn document(&self) -> String {
        self.begun.named(self.text.as_ref().map(|text| self.check.corpus.place(text.span.document)))
    }

    fn different(&self, run: &Run, token: u64, reason: &str) -> Error {
        self.check.different(run, token, &self.document(), reason)
    }
}

/// Return the index of the id whose bytes include the decoded byte `byte`.
fn token_at(tokenizer: &impl EncodeDocument, ids: &[u32], byte: usize) -> usize {
    let mut end = 0;
    let holds = |&id: &u32| {
        end += tokenizer.token_bytes(id).map_or(0, <[u8]>::len);
        end > byte
    };
    ids.iter().position(holds).unwrap_or(ids.len())
}

/// The text of a document, read in parts if possible.
struct Text<'a> {
    corpus: &'a Corpus,
    span: Span,
    /// Number of bytes compared so far.
    at: u64,
    window: Vec<u8>,
    window_at: u64,
    is_read: bool,
    buffer: Vec<u8>,
}

impl<'a> Text<'a> {
    fn new(corpus: &'a Corpus, span: Span) -> Self {
        Self { corpus, span, at: 0, window: Vec::new(), window_at: 0, is_read: false, buffer: Vec::new() }
    }

    /// Compare `decoded` with the next bytes of the text. Skip the equal bytes and return their number.
    fn n_equal(&mut self, decoded: &[u8]) -> Result<usize> {
        let mut done = 0;
        while done < decoded.len() {
            let next = self.next()?;
            let n = next.len().min(decoded.len() - done);
            let (next, wanted) = (&next[..n], &decoded[done..done + n]);
            let equal = if next == wanted { n } else { next.iter().zip(wanted).take_while(|(a, b)| a == b).count() };
            self.at += equal as u64;
            done += equal;
            if n == 0 || equal < n {
                break;
            }
        }
        Ok(done)
    }

    fn is_at_end(&mut self) -> Result<bool> {
        Ok(self.next()?.is_empty())
    }

    /// Return the next bytes for a message.
    fn shown(&mut self) -> Result<String> {
        let next = self.next()?;
        Ok(if next.is_empty() { "its end".to_owned() } else { quoted(next) })
    }

    /// Return the next bytes; no bytes at the end.
    fn next(&mut self) -> Result<&[u8]> {
        let may_go_on = self.has_parts() || !self.is_read;
        if may_go_on && self.at == self.window_at + self.window.len() as u64 {
            self.window_at = self.at;
            self.is_read = true;
            let bytes = if self.has_parts() {
                let start = self.span.bytes.start + self.at;
                start..(start + WINDOW_BYTES).min(self.span.bytes.end)
            } else {
                self.span.bytes.clone()
            };
            let span = Span { bytes, ..self.span.clone() };
            let text = self.corpus.read(&span, &mut self.buffer)?;
            self.window.clear();
            self.window.extend_from_slice(&text);
        }
        Ok(&self.window[(self.at - self.window_at) as usize..])
    }

    /// Return whether a part of the text can be read alone.
    fn has_parts(&self) -> bool {
        self.corpus.is_text(self.span.document)
    }
}
