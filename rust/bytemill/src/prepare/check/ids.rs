//! Compare shards with a new encoding of their text, if decoding does not return the text.

use super::super::encode::EncodeJob;
use super::super::encode_document::EncodeDocument;
use super::super::progress::Progress;
use super::{Begun, Check, quoted};
use crate::error::{Error, Result};
use crate::shard::Runs;

impl<T: EncodeDocument> Check<'_, T> {
    /// Return an error for the first id that differs from the text's encoding.
    pub(super) fn compare_ids(&self, report: &mut dyn FnMut(&Progress) -> Result<()>) -> Result<()> {
        let runs = Runs::new(self.folder, self.manifest);
        let mut reading = Reading { check: self, runs, n_items: 0, awaits_start: false, begun: Begun::default() };
        let mut now = self.nothing_yet();
        EncodeJob::new(self.corpus, self.tokenizer, self.order, self.share).run(0, |encoded| {
            for (begins, ids) in encoded.documents() {
                if begins {
                    reading.begin()?;
                    now.documents += 1;
                    now.tokens += u64::from(self.manifest.end_of_text.is_some());
                }
                reading.compare(ids)?;
                now.tokens += ids.len() as u64;
            }
            now.bytes += encoded.input_bytes;
            report(&now)
        })?;
        reading.end()
    }
}

/// The position of the comparison in the shards.
struct Reading<'a, T> {
    check: &'a Check<'a, T>,
    runs: Runs<'a>,
    /// Number of documents of the sources begun so far.
    n_items: u64,
    /// Whether the next id must be the first of its document.
    awaits_start: bool,
    begun: Begun,
}

impl<T: EncodeDocument> Reading<'_, T> {
    /// Go to the next document. Without marks at document starts, a document without ids is not in the shards.
    fn begin(&mut self) -> Result<()> {
        self.finish()?;
        (self.n_items, self.awaits_start) = (self.n_items + 1, true);
        if self.check.manifest.end_of_text.is_some() {
            self.start()?;
            // `verify` checks this id.
            self.runs.advance(1);
        }
        Ok(())
    }

    /// Count the document that begins with the next id.
    fn start(&mut self) -> Result<()> {
        let Some(run) = self.runs.peek()? else {
            return Err(self.check.lacks(&self.check.place(self.n_items).unwrap_or_default()));
        };
        self.begun.enter(&run);
        self.begun.n += 1;
        self.awaits_start = false;
        Ok(())
    }

    /// Compare the next ids of the document with `ids`, the encoding of its text.
    fn compare(&mut self, mut ids: &[u32]) -> Result<()> {
        while let Some(&next) = ids.first() {
            let begins = self.awaits_start;
            if begins {
                self.start()?;
            }
            let Some(run) = self.runs.peek()?.filter(|run| run.begins == begins) else {
                return self.refuse_end(next);
            };
            self.begun.enter(&run);
            let n = run.ids.len().min(ids.len());
            if let Some(at) = (0..n).find(|&at| run.ids[at] != ids[at]) {
                let (there, expected) = (self.check.shown(run.ids[at]), self.check.shown(ids[at]));
                let reason = format!("the token is {there}, but the text encodes to {expected}");
                let document = self.begun.named(self.check.place(self.n_items));
                return Err(self.check.different(&run, run.first + at as u64, &document, &reason));
            }
            self.runs.advance(n);
            ids = &ids[n..];
        }
        Ok(())
    }

    /// Return the error for a document whose tokens end before `next` of its text's encoding.
    fn refuse_end(&mut self, next: u32) -> Result<()> {
        let document = self.begun.named(self.check.place(self.n_items));
        let reason = format!("the document's tokens end, but its text continues with {}", self.check.shown(next));
        Err(match self.runs.peek()? {
            Some(run) => self.check.different(&run, run.first, &document, &reason),
            None => Error::format(self.check.folder, format!("{document}: {reason}")),
        })
    }

    /// Check that the document has no more tokens than its text's encoding.
    fn finish(&mut self) -> Result<()> {
        let Some(run) = self.runs.peek()?.filter(|run| !run.begins) else { return Ok(()) };
        self.begun.enter(&run);
        let document = self.begun.named(self.check.place(self.n_items));
        let reason = format!("the token is {}, but the text has ended", self.check.shown(run.ids[0]));
        Err(self.check.different(&run, run.first, &document, &reason))
    }

    /// Check that there are no more documents.
    fn end(&mut self) -> Result<()> {
        self.finish()?;
        let Some(run) = self.runs.peek()? else { return Ok(()) };
        self.begun.enter(&run);
        self.begun.n += 1;
        let reason = "begins a document that is not in the sources";
        Err(self.check.different(&run, run.first, &self.begun.named(None), reason))
    }
}

impl<T: EncodeDocument> Check<'_, T> {
    /// Return the place in the sources of the last of the first `n_items` documents.
    fn place(&self, n_items: u64) -> Option<String> {
        let item = n_items.checked_sub(1)?;
        Some(self.corpus.place(self.order.span(self.corpus, item).document))
    }

    /// Return an id with its text for a message.
    fn shown(&self, id: u32) -> String {
        let text = self.tokenizer.token_bytes(id).map(|bytes| format!(" ({})", quoted(bytes)));
        format!("id {id}{}", text.unwrap_or_default())
    }
}
