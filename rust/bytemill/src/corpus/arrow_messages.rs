//! Split an Arrow file into messages. Refuse messages with a length that the file cannot hold.
//!
//! ```text
//! [ARROW1 00 …]  FF FF FF FF  n  metadata (n bytes)  body  …  FF FF FF FF  0  [contents ARROW1]
//! ```
//! The parts in brackets are in files only, not in streams.

use super::foreign::caught;
use super::open::{BLOCK_BYTES, grown, growth_limit};
use super::reading::Reading;
use crate::error::{Error, Result};
use crate::regular_file;
use arrow_buffer::Buffer;
use arrow_ipc::{Message, RecordBatch, root_as_message};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

const MAGIC: &[u8; 6] = b"ARROW1";
const CONTINUED: [u8; 4] = [0xFF; 4];

/// A message in the form that the decoder takes.
pub(super) struct Parts {
    /// Offset of the message in the file.
    pub(super) start: u64,
    /// Its prefix, its metadata and its body; the prefix alone at the end.
    pub(super) parts: Vec<Buffer>,
}

/// The messages of a file, in order.
pub(super) struct Messages<'p> {
    path: &'p Path,
    reading: Reading<'p>,
    file: BufReader<File>,
    at: u64, // bytes read
    n_bytes: u64,
    limit: u64,
    unpacked: u64, // bytes that compressed bodies claim to unpack to
    ended: bool,
}

impl<'p> Messages<'p> {
    /// Open a file or a stream; a file must end with its mark.
    pub(super) fn open(path: &'p Path, reading: Reading<'p>) -> Result<Self> {
        let file = regular_file::open_seekable(path)?;
        let limit = growth_limit(&file).map_err(Error::io(path))?;
        let n_bytes = file.metadata().map_err(Error::io(path))?.len();
        let file = BufReader::with_capacity(BLOCK_BYTES, file);
        let mut messages = Self { path, reading, file, at: 0, n_bytes, limit, unpacked: 0, ended: false };
        messages.pass_magic()?;
        Ok(messages)
    }

    /// Return the maximum size of the file's unpacked content.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    /// Return the next message; `None` after the end mark.
    pub(super) fn next(&mut self) -> Result<Option<Parts>> {
        if self.ended {
            return Ok(None);
        }
        let start = self.at;
        let mut prefix = self.take(4)?;
        if prefix == CONTINUED {
            prefix.extend(self.take(4)?);
        }
        let length = prefix.last_chunk().map_or(0, |length| u32::from_le_bytes(*length));
        if length == 0 {
            self.ended = true;
            return Ok(Some(Parts { start, parts: vec![prefix.into()] }));
        }
        let metadata = self.take(length.into())?;
        let damaged = |reason: String| Error::format(self.path, format!("message at byte {start}: {reason}"));
        let message = caught(|| root_as_message(&metadata)).map_err(damaged)?;
        let n_bytes = u64::try_from(message.bodyLength()).map_err(|_| damaged("a negative length".to_owned()))?;
        self.check_size(start, n_bytes)?;
        let body = self.take(n_bytes)?;
        let unpacked = unpacked_bytes(&message, &body);
        self.check_size(start, unpacked)?;
        self.unpacked = self.unpacked.saturating_add(unpacked);
        if self.unpacked > self.limit {
            return Err(Error::format(self.path, grown(self.limit)));
        }
        Ok(Some(Parts { start, parts: [prefix, metadata, body].map(Buffer::from).into() }))
    }

    fn check_size(&self, start: u64, n_bytes: u64) -> Result<()> {
        if n_bytes <= self.reading.most_at_once() {
            return Ok(());
        }
        Err(self.reading.too_large(self.path, &format!("a record batch at byte {start}"), n_bytes))
    }

    fn pass_magic(&mut self) -> Result<()> {
        let mut ends = [[0; 8]; 2];
        if self.n_bytes >= 8 {
            for (end, place) in ends.iter_mut().zip([SeekFrom::Start(0), SeekFrom::End(-8)]) {
                self.file.seek(place).and_then(|_| self.file.read_exact(end)).map_err(Error::io(self.path))?;
            }
            self.file.seek(SeekFrom::Start(0)).map_err(Error::io(self.path))?;
        }
        let [start, end] = ends;
        if !start.starts_with(MAGIC) {
            return Ok(());
        }
        if !end.ends_with(MAGIC) {
            return Err(Error::format(self.path, format!("is truncated: no end mark before byte {}", self.n_bytes)));
        }
        self.take(8)?;
        // Some writers pad the mark to 64 bytes, their alignment of buffers.
        while self.file.fill_buf().map_err(Error::io(self.path))?.starts_with(&[0; 8]) {
            self.take(8)?;
        }
        Ok(())
    }

    /// Return the next `n_bytes`, or an error if the file has fewer.
    fn take(&mut self, n_bytes: u64) -> Result<Vec<u8>> {
        let left = self.n_bytes - self.at;
        if n_bytes > left {
            let reason = format!("is truncated: expected {n_bytes} bytes at byte {}, found {left}", self.at);
            return Err(Error::format(self.path, reason));
        }
        let mut bytes = vec![0; n_bytes as usize];
        self.file.read_exact(&mut bytes).map_err(Error::io(self.path))?;
        self.at += n_bytes;
        Ok(bytes)
    }
}

/// Return the unpacked size that the compressed buffers of a message claim.
fn unpacked_bytes(message: &Message, body: &[u8]) -> u64 {
    let batch = message.header_as_record_batch();
    let batch = batch.or_else(|| message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data()));
    let is_compressed = |batch: &RecordBatch| batch.compression().is_some();
    let buffers = batch.filter(is_compressed).and_then(|batch| batch.buffers());
    let length_at = |offset: i64| -> Option<u64> {
        let bytes = body.get(usize::try_from(offset).ok()?..)?.first_chunk()?;
        u64::try_from(i64::from_le_bytes(*bytes)).ok() // -1: this buffer is not compressed
    };
    buffers.into_iter().flatten().filter_map(|buffer| length_at(buffer.offset())).fold(0, u64::saturating_add)
}
