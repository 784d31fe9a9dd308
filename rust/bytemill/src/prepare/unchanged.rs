//! Check that texts read in parts match the hashes of the first pass; texts read as a whole are compared when read.

use super::scan::{Corpus, Span};
use crate::error::Result;

/// Checksums of the parts read so far; adjacent parts are joined.
#[derive(Debug, Default)]
pub(super) struct Unchanged {
    parts: Vec<(Span, u32)>,
}

impl Unchanged {
    /// Add the CRC32C of one more part. Return an error if it completes a document that has changed.
    pub(super) fn add(&mut self, corpus: &Corpus, span: Span, crc32c: u32) -> Result<()> {
        self.parts.push((span, crc32c));
        while self.join_last() {}
        if let Some((span, crc32c)) = self.parts.last()
            && *span == corpus.span(span.document)
        {
            corpus.check_crc32c(span.document, *crc32c)?;
            self.parts.pop();
        }
        Ok(())
    }

    /// Join the last part with an adjacent one; there are never more than a few parts.
    fn join_last(&mut self) -> bool {
        let Some((last, crc32c)) = self.parts.pop() else { return false };
        let touches = |other: &Span| {
            other.document == last.document
                && (other.bytes.end == last.bytes.start || last.bytes.end == other.bytes.start)
        };
        let Some(number) = self.parts.iter().position(|(other, _)| touches(other)) else {
            self.parts.push((last, crc32c));
            return false;
        };
        let other = self.parts.swap_remove(number);
        let last = (last, crc32c);
        let (first, second) = if other.0.bytes.end == last.0.bytes.start { (other, last) } else { (last, other) };
        let joined = join(first.1, second.1, &second.0);
        let span = Span { document: first.0.document, bytes: first.0.bytes.start..second.0.bytes.end };
        self.parts.push((span, joined));
        true
    }
}

/// Return the checksum of a part followed by `second`.
fn join(first: u32, second_crc32c: u32, second: &Span) -> u32 {
    crc32c::crc32c_combine(first, second_crc32c, (second.bytes.end - second.bytes.start) as usize)
}
