//! A file that is read here and there: it stays open, unless there are so many that the system would run out.

use std::fs::File;
use std::io::Result;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// Files of one loader that stay open, all its sources together; others are opened when they are read. Many systems
/// allow a process 1,024.
pub(super) const MAX_OPEN_FILES: usize = 256;

/// A file to read from at any place.
#[derive(Debug)]
pub(super) struct KeptFile {
    path: PathBuf,
    open: Option<File>,
}

impl KeptFile {
    /// `file`, which was opened at `path`; kept open if it `stays`.
    pub(super) fn new(path: PathBuf, file: File, stays: bool) -> Self {
        Self { path, open: stays.then_some(file) }
    }

    /// Fills `out` with the bytes from `offset` on.
    pub(super) fn read_exact_at(&self, out: &mut [u8], offset: u64) -> Result<()> {
        match &self.open {
            Some(file) => file.read_exact_at(out, offset),
            None => File::open(&self.path)?.read_exact_at(out, offset),
        }
    }
}
