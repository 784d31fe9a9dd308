//! Find document boundaries in a plain file that is read in pieces.

use std::path::Path;

use crate::corpus::Content;
use crate::error::{Error, Result};

/// Maximum size that fits into a [`Document`].
pub(super) const MAX_DOCUMENT_BYTES: u64 = (1 << BYTES_BITS) - 1;
/// Maximum number that fits into a [`Document`].
pub(super) const MAX_INPUTS: u64 = 1 << (64 - BYTES_BITS);

const BYTES_BITS: u32 = 40;

/// The place of a document in its input or in the spool; it is small, because there may be many millions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, packed(4))]
pub(super) struct Document {
    offset: u64,
    input_and_bytes: u64,
    crc32c: u32,
}

const _: () = assert!(size_of::<Document>() == 20);

impl Document {
    /// Describe the `bytes` bytes from `offset` of an input, with their checksum.
    pub(super) fn new(input: u32, offset: u64, bytes: u64, crc32c: u32) -> Self {
        Self { offset, input_and_bytes: u64::from(input) << BYTES_BITS | bytes, crc32c }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bytes(&self) -> u64 {
        self.input_and_bytes & MAX_DOCUMENT_BYTES
    }

    pub(super) fn input(&self) -> u32 {
        (self.input_and_bytes >> BYTES_BITS) as u32
    }

    /// Return the CRC32C of the bytes when they were found.
    pub(super) fn crc32c(&self) -> u32 {
        self.crc32c
    }
}

/// Splits a stream of pieces into documents.
pub(super) struct DocumentFinder {
    content: Content,
    input: u32,
    offset: u64,
    start: u64,
    crc32c: u32,
    blank: bool,
}

impl DocumentFinder {
    /// Create a finder for the input with this number.
    pub(super) fn new(content: Content, input: u32) -> Self {
        Self { content, input, offset: 0, start: 0, crc32c: 0, blank: true }
    }

    /// Process the next piece of the input, and call `found` with the documents that end in it.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        path: &Path,
        found: &mut impl FnMut(Document) -> Result<()>,
    ) -> Result<()> {
        if self.content == Content::Text {
            self.go_on(piece, !piece.is_empty());
            return Ok(());
        }
        let mut rest = piece;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            self.go_on(&rest[..=end], !rest[..end].trim_ascii_start().is_empty());
            self.end(path, found)?;
            rest = &rest[end + 1..];
        }
        self.go_on(rest, !rest.trim_ascii_start().is_empty());
        Ok(())
    }

    fn go_on(&mut self, bytes: &[u8], is_visible: bool) {
        self.offset += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
        self.blank &= !is_visible;
    }

    /// End the document, unless it is a blank line or an empty file.
    pub(super) fn end(&mut self, path: &Path, found: &mut impl FnMut(Document) -> Result<()>) -> Result<()> {
        if !self.blank {
            let bytes = document_bytes(path, self.start, self.offset)?;
            found(Document::new(self.input, self.start, bytes, self.crc32c))?;
        }
        (self.start, self.crc32c, self.blank) = (self.offset, 0, true);
        Ok(())
    }

    /// Return the bytes so far of the current document.
    pub(super) fn bytes_so_far(&self) -> u64 {
        self.offset - self.start
    }
}

/// Return the length of the document from `start` to `end`, or an error if it is too long.
pub(super) fn document_bytes(path: &Path, start: u64, end: u64) -> Result<u64> {
    let bytes = end - start;
    if bytes <= MAX_DOCUMENT_BYTES {
        return Ok(bytes);
    }
    Err(Error::format(
        path,
        format!("the document at byte {start} has {bytes} bytes, expected at most {MAX_DOCUMENT_BYTES}"),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_numbers_fit_and_no_larger_ones() {
        let last_input = (MAX_INPUTS - 1) as u32;
        for (input, offset, bytes) in [(0, u64::MAX, MAX_DOCUMENT_BYTES), (last_input, 0, 0), (last_input, 7, 5 << 32)]
        {
            let document = Document::new(input, offset, bytes, 9);
            assert_eq!(
                (document.input(), document.offset(), document.bytes(), document.crc32c()),
                (input, offset, bytes, 9)
            );
        }
        let path = Path::new("long.txt");
        assert_eq!(document_bytes(path, 3, MAX_DOCUMENT_BYTES + 3).unwrap(), MAX_DOCUMENT_BYTES);
        assert!(
            document_bytes(path, 2, MAX_DOCUMENT_BYTES + 3).unwrap_err().to_string().contains("at most 1099511627775")
        );
    }
}
