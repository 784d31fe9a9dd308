//! Read everything in a folder of shards and compare it with all recorded checksums and sizes.

use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::shard_reader::{ShardReader, Verify};
use crate::error::{Error, Result};
use crate::shard::format::checksum::{BLOCK_BYTES, hex};
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, TokenWidth};
use crate::shard::format::index::Index;
use crate::shard::format::manifest::Manifest;

/// Check every byte of the shards in `folder`: manifest, headers, tokens, block checksums, indices.
///
/// The first fault found is returned as an error with its file and place. `watch` is called at least once per MiB with
/// the number of bytes checked since the last call, and breaks to stop.
///
/// # Errors
/// [`Error::Format`] for a fault, [`Error::Io`] for a file that is missing or cannot be read, [`Error::Interrupted`].
pub fn verify(folder: &Path, watch: &mut Watch) -> Result<Manifest> {
    let manifest = Manifest::read(folder)?;
    for entry in &manifest.shards {
        verify_shard(folder, &manifest, entry, watch)?;
    }
    Ok(manifest)
}

/// Callback that takes the number of bytes done since the last call, and breaks to stop.
pub type Watch<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Report `n_bytes` to `watch`; return an error if it breaks.
pub(in crate::shard) fn report(watch: &mut Watch, n_bytes: usize) -> Result<()> {
    if watch(n_bytes as u64).is_break() { Err(Error::Interrupted) } else { Ok(()) }
}

/// Check every byte of one shard.
pub(crate) fn verify_shard(folder: &Path, manifest: &Manifest, entry: &ShardEntry, watch: &mut Watch) -> Result<()> {
    ShardCheck { folder, manifest, entry }.run(watch)
}

struct ShardCheck<'a> {
    folder: &'a Path,
    manifest: &'a Manifest,
    entry: &'a ShardEntry,
}

impl ShardCheck<'_> {
    fn run(&self, watch: &mut Watch) -> Result<()> {
        let index = Index::read(self.folder, self.entry, self.manifest.dtype)?;
        self.check_payload(&index, watch)
    }

    /// Check blocks and header as the loader does, ids, end-of-text at document starts, and the whole-file hash.
    fn check_payload(&self, index: &Index, watch: &mut Watch) -> Result<()> {
        let reader = ShardReader::new(self.folder, self.manifest, self.entry)?;
        let mut starts = index.document_starts(self.entry.documents).peekable();
        let (mut max_id, mut hash) = (0, Sha256::new_with_prefix(self.read_header()?));
        let width = self.manifest.dtype.bytes();
        let (mut block, mut scratch) = (Vec::new(), Vec::new());
        for first in (0..self.entry.tokens).step_by(BLOCK_BYTES / width) {
            let n = (BLOCK_BYTES / width).min((self.entry.tokens - first) as usize);
            block.resize(n * width, 0);
            reader.read(first, &mut block, Verify::Always, &mut scratch)?;
            hash.update(&block);
            let ids = to_ids(&block, self.manifest.dtype);
            max_id = ids.iter().fold(max_id, |max, &id| max.max(id));
            while let Some(start) = starts.next_if(|&start| start < first + n as u64) {
                self.check_document_start(start, ids[(start - first) as usize])?;
            }
            report(watch, block.len())?;
        }
        self.compare("largest id", &max_id, &self.entry.max_id)?;
        self.compare("SHA-256", &hex(&hash.finalize()), &self.entry.sha256)
    }

    fn check_document_start(&self, token: u64, id: u32) -> Result<()> {
        match self.manifest.end_of_text {
            Some(expected) if expected != id => {
                let reason = format!("the document at token {token} begins with id {id}, expected {expected}");
                Err(Error::format(self.path(), reason))
            }
            _ => Ok(()),
        }
    }

    fn read_header(&self) -> Result<[u8; HEADER_BYTES]> {
        let mut header = [0; HEADER_BYTES];
        let path = self.path();
        File::open(&path).and_then(|mut file| file.read_exact(&mut header)).map_err(Error::io(&path))?;
        Ok(header)
    }

    fn compare<T: PartialEq + Display>(&self, what: &str, got: &T, expected: &T) -> Result<()> {
        if got == expected {
            return Ok(());
        }
        Err(Error::format(self.path(), format!("{what} is {got}, the manifest says {expected}")))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(&self.entry.name)
    }
}

pub(super) fn to_ids(bytes: &[u8], width: TokenWidth) -> Vec<u32> {
    match width {
        TokenWidth::Uint16 => bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id).into()).collect(),
        TokenWidth::Uint32 => bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id)).collect(),
    }
}
