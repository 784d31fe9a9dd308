//! Documents that had to be unpacked, on disk until the work ends.
//!
//! The file has no name, so that nothing is left of it however the work ends. It lies in the output
//! folder, which must have room for text and tokens.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

const BUFFER_BYTES: usize = 1 << 20;

/// Bytes that were added one after the other, to be read anywhere.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    file: Option<File>,
    written: u64,
    buffer: Vec<u8>,
}

impl Spool {
    /// An empty one that will lie in `folder`.
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), file: None, written: 0, buffer: Vec::new() }
    }

    /// Bytes added so far.
    pub(super) fn len(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Puts `bytes` at the end.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    /// Makes all that was added readable.
    pub(super) fn flush(&mut self) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(&self.folder).map_err(Error::io(&self.folder))?),
        };
        file.write_all(&self.buffer).map_err(Error::io(&self.folder))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Fills `buffer` with what was added at `offset`.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(buffer, offset).map_err(Error::io(&self.folder)),
            None => Ok(()), // no byte was added, none is asked for
        }
    }
}
