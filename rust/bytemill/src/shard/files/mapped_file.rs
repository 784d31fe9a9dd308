//! A mapped file: its bytes are read without a system call and without a copy.
//!
//! Measured with `mmap`, a batch takes a third less time than with `pread`, which needs one system call per sample
//! (docs/benchmarks/loader.md). The drawback: on most systems, truncating a mapped file kills the process (SIGBUS);
//! Windows refuses to truncate or replace it.
#![allow(
    unsafe_code,
    reason = "mapping a file is unsafe because others may change it; benches/loader.py measures the gain"
)]

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};
use crate::platform;

/// A whole file, mapped for random reads.
#[derive(Debug)]
pub(in crate::shard) struct MappedFile(Mmap);

impl MappedFile {
    pub(in crate::shard) fn new(file: &File, path: &Path) -> Result<Self> {
        // SAFETY: the bytes are only read as bytes, and shards are never written to after they get their name. Other
        // programs may truncate or rewrite a shard while it is mapped; the option's documentation warns about this.
        let map = unsafe { Mmap::map(file) }.map_err(Error::io(path))?;
        platform::advise_random(&map).map_err(Error::io(path))?;
        Ok(Self(map))
    }

    /// Return `n` bytes from `start`, if the file has them.
    pub(in crate::shard) fn bytes(&self, start: usize, n: usize) -> Option<&[u8]> {
        self.0.get(start..start.checked_add(n)?)
    }
}
