//! Finds where documents begin and end in a plain file that comes in pieces.

use std::path::Path;

use crate::corpus::Content;
use crate::error::{Error, Result};

/// Where a document lies, in its input or in the spool; small, for there may be many millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) input: u32,
}

/// Cuts a stream of pieces into documents.
pub(super) struct DocumentFinder {
    content: Content,
    input: u32,
    offset: u64,
    start: u64,
    blank: bool,
}

impl DocumentFinder {
    /// For the input with this number.
    pub(super) fn new(content: Content, input: u32) -> Self {
        Self { content, input, offset: 0, start: 0, blank: true }
    }

    /// Takes the next piece of the input, and tells of the documents that end in it.
    pub(super) fn take(&mut self, piece: &[u8], path: &Path, documents: &mut Vec<Document>) -> Result<()> {
        if self.content == Content::Text {
            self.offset += piece.len() as u64;
            self.blank &= piece.is_empty();
            return Ok(());
        }
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.offset += end as u64 + 1;
            self.blank &= rest[..end].trim_ascii_start().is_empty();
            self.end(path, documents)?;
            rest = &rest[end + 1..];
        }
        self.offset += rest.len() as u64;
        self.blank &= rest.trim_ascii_start().is_empty();
        Ok(())
    }

    /// The document ends here, unless it is a blank line or an empty file.
    pub(super) fn end(&mut self, path: &Path, documents: &mut Vec<Document>) -> Result<()> {
        if !self.blank {
            let bytes = document_bytes(path, self.start, self.offset)?;
            documents.push(Document { offset: self.start, bytes, input: self.input });
        }
        (self.start, self.blank) = (self.offset, true);
        Ok(())
    }
}

/// The length of the document from `start` to `end`.
pub(super) fn document_bytes(path: &Path, start: u64, end: u64) -> Result<u32> {
    u32::try_from(end - start)
        .map_err(|_| Error::format(path, format!("a document of more than 4 GiB at byte {start}")))
}
