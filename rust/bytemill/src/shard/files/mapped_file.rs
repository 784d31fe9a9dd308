//! A file's bytes where the system keeps them, read without a call and without a copy.
//!
//! Asked for by `mmap`: measured, a third less time a batch than `pread`, which needs a system call a sample
//! (docs/benchmarks/loader.md). The price is that a file that is cut while it is mapped kills the process.
#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe, for others may change it; benches/loader.py shows what it buys"
)]

use std::fs::File;
use std::path::Path;

use memmap2::{Advice, Mmap};

use crate::error::{Error, Result};

/// A whole file, mapped for reading here and there.
#[derive(Debug)]
pub(in crate::shard) struct MappedFile(Mmap);

impl MappedFile {
    pub(in crate::shard) fn new(file: &File, path: &Path) -> Result<Self> {
        // SAFETY: the bytes are only read as bytes, and shards are never written to once they have their name.
        // Who cuts or rewrites one meanwhile is beyond us; the option's documentation says so.
        let map = unsafe { Mmap::map(file) }.map_err(Error::io(path))?;
        map.advise(Advice::Random).map_err(Error::io(path))?;
        Ok(Self(map))
    }

    /// The bytes from `start` on, as many as are asked for and there.
    pub(in crate::shard) fn bytes(&self, start: usize, n: usize) -> Option<&[u8]> {
        self.0.get(start..start.checked_add(n)?)
    }
}
