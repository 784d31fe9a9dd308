//! Makes sure that texts read in parts are what the first pass hashed; what is read whole is compared as it is read.

use super::scan::{Corpus, Span};
use crate::error::Result;

/// Checksums of the parts read so far, joined where they follow each other.
#[derive(Debug, Default)]
pub(super) struct Unchanged {
    parts: Vec<(Span, u32)>,
}

impl Unchanged {
    /// Takes the CRC32C of one more part; fails when it completes a document that is no longer what it was.
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

    /// Joins the last part with the one that it follows or precedes; there are never more than a few.
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

/// The checksum of a part and `second`, which follows it.
fn join(first: u32, second_crc32c: u32, second: &Span) -> u32 {
    crc32c::crc32c_combine(first, second_crc32c, (second.bytes.end - second.bytes.start) as usize)
}
