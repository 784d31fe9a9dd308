//! A file read at any position. It stays open unless a loader has more files than a process may open.

use std::fs::File;
use std::io::Result;
use std::path::PathBuf;

use crate::platform;

/// Maximum number of open files per loader, over all its sources; other files are opened for each read. Many systems
/// allow 1,024 per process.
pub(in crate::shard) const MAX_OPEN_FILES: usize = 256;

/// A file that can be read at any position.
#[derive(Debug)]
pub(in crate::shard) struct PositionalFile {
    path: PathBuf,
    open: Option<File>,
}

impl PositionalFile {
    /// Take `file`, which was opened at `path`; keep it open if `stays` is true.
    pub(in crate::shard) fn new(path: PathBuf, file: File, stays: bool) -> Self {
        Self { path, open: stays.then_some(file) }
    }

    /// Fill `out` with the bytes from `offset`.
    pub(in crate::shard) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        match &self.open {
            Some(file) => platform::read_exact_at(file, out, offset),
            None => platform::read_exact_at(&File::open(&self.path)?, out, offset),
        }
    }
}
