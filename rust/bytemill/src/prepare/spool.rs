//! Unpacked documents, on disk until the work ends.
//!
//! The file has no name, so nothing of it remains after a stop or a crash. It is in the output folder, which needs room
//! for text and tokens.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::platform;

const BUFFER_BYTES: usize = 1 << 20;

/// Bytes that are appended in order and read at any position.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<File>,
    written: u64,
    buffer: Vec<u8>,
}

impl Spool {
    /// Create an empty spool in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, written: 0, buffer: Vec::new() }
    }

    /// Return the number of bytes added so far.
    pub(super) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Append `bytes`.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Write all added bytes to the file, so that they can be read.
    pub(super) fn flush(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder).map_err(Error::io(&self.folder))?),
        };
        platform::write_all_at(file, &self.buffer, self.written).map_err(Error::io(&self.folder))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fill `buffer` with the bytes at `offset`.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match &self.file {
            Some(file) => platform::read_exact_at(file, buffer, offset).map_err(Error::io(&self.folder)),
            None => Ok(()), // the spool is empty, so `buffer` is too
        }
    }
}
