//! A file read at any position. It stays open, unless a loader has more files than a process may open.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Files of one loader that stay open, all its sources together; others are opened when they are read. Many systems
/// allow a process 1,024.
pub(in crate::shard) const MAX_OPEN_FILES: usize = 256;

/// A file to read from at any place.
#[derive(Debug)]
pub(in crate::shard) struct PositionalFile {
    path: PathBuf,
    open: Option<File>,
}

impl PositionalFile {
    /// `file`, which was opened at `path`; kept open if it `stays`.
    pub(in crate::shard) fn new(path: PathBuf, file: File, stays: bool) -> Self {
        Self { path, open: stays.then_some(file) }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub(in crate::shard) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        match &self.open {
            Some(file) => file.read_exact_at(out, offset),
            None => File::open(&self.path)?.read_exact_at(out, offset),
        }
    }
}
