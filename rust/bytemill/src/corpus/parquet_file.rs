//! A Parquet file that refuses a page by the size in its header, before the page is read and unpacked.
//!
//! The decoder allocates memory for a whole page, but it reads the header first. The size is checked at that point.

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::reader::{ChunkReader, Length};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// Bytes at the end of a file that belong to no page: the length of the metadata, and the mark.
const FOOTER_BYTES: u64 = 8;
/// Thrift's mark for a 32-bit number in the next field.
const NEXT_I32: u8 = 0x15;

/// The file, and the maximum size of one of its pages.
pub(super) struct ParquetFile {
    pub(super) file: File,
    pub(super) most_page_bytes: u64,
}

impl Length for ParquetFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for ParquetFile {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut reader = self.file.get_read(start)?;
        if start + FOOTER_BYTES < self.len() {
            let n_bytes = page_bytes(reader.fill_buf()?).unwrap_or(0);
            if n_bytes > self.most_page_bytes {
                let most = self.most_page_bytes;
                return Err(ParquetError::General(format!(
                    "the page at byte {start} unpacks to {n_bytes} bytes, more than the {most} that max_memory allows: \
                     raise max_memory, or write smaller pages and rows"
                )));
            }
        }
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.file.get_bytes(start, length)
    }
}

/// Return the size of a page, packed or unpacked, from the first fields of its header: kind, size, packed size.
fn page_bytes(mut header: &[u8]) -> Option<u64> {
    let mut field = || {
        let (&mark, rest) = header.split_first()?;
        header = rest;
        (mark == NEXT_I32).then(|| super::parquet_pages::varint(&mut header)).flatten()
    };
    field()?;
    // Signed numbers use zigzag encoding: 0, -1, 1, -2, …
    let (unpacked, packed) = (field()? / 2, field()? / 2);
    Some(unpacked.max(packed))
}
