//! Token files that others wrote: llm.c's, nanoGPT's, `.npy`, Megatron's. All that can be checked is.
//!
//! They carry no checksums, so damage to their tokens goes unnoticed; what a header says is compared with the
//! file's size, and nothing is guessed: a raw `.bin` says nothing of its type, so the caller must.

mod llmc;
mod megatron;
mod npy;

use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::regular_file;
use crate::shard::files::mapped_file::MappedFile;
use crate::shard::files::positional_file::PositionalFile;
use crate::shard::format::checksum::hex;
use crate::shard::format::header::TokenWidth;

/// Bytes at each end of the tokens that name the data in a loader's state.
const SAMPLED_BYTES: u64 = 1 << 20;

/// One file of tokens, opened when first read.
#[derive(Debug)]
pub(crate) struct ForeignFile {
    path: PathBuf,
    format: &'static str,
    payload_at: u64,
    n_tokens: u64,
    width: TokenWidth,
    maps: bool,
    stays_open: bool,
    opened: OnceLock<(PositionalFile, Option<MappedFile>)>,
}

/// Where the tokens of a file lie, as its header says.
struct Found {
    format: &'static str,
    payload_at: u64,
    n_tokens: u64,
    width: TokenWidth,
}

impl Clone for ForeignFile {
    /// The same file, not opened yet.
    fn clone(&self) -> Self {
        let (path, format, opened) = (self.path.clone(), self.format, OnceLock::new());
        let (payload_at, n_tokens, width) = (self.payload_at, self.n_tokens, self.width);
        Self { path, format, payload_at, n_tokens, width, maps: self.maps, stays_open: self.stays_open, opened }
    }
}

impl ForeignFile {
    /// Finds out what the file at `path` is; `stored` is the type of a raw file's tokens.
    pub(crate) fn new(path: &Path, stored: Option<TokenWidth>) -> Result<Self> {
        let found = find(path, stored)?;
        if stored.is_some_and(|stored| stored != found.width) {
            let reason = format!("a {} file of {:?}, but stored_dtype says otherwise", found.format, found.width);
            return Err(Error::format(path, reason));
        }
        if found.n_tokens == 0 {
            return Err(Error::format(path, format!("a {} file without tokens", found.format)));
        }
        let Found { format, payload_at, n_tokens, width } = found;
        let (path, opened) = (path.to_owned(), OnceLock::new());
        Ok(Self { path, format, payload_at, n_tokens, width, maps: false, stays_open: true, opened })
    }

    /// The same file, to be mapped when it is opened.
    pub(crate) fn mapped(self) -> Self {
        Self { maps: true, ..self }
    }

    /// The same file, opened each time that it is read.
    pub(crate) fn not_kept_open(self) -> Self {
        Self { stays_open: false, ..self }
    }

    /// What to say when it is asked where documents begin.
    pub(crate) fn without_documents(&self) -> Error {
        let reason = format!("a {} file; where documents begin is known of shards that bytemill wrote", self.format);
        Error::format(&self.path, reason)
    }

    /// How many tokens it holds.
    pub(crate) fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Bytes a token.
    pub(crate) fn width(&self) -> TokenWidth {
        self.width
    }

    /// Names the data: SHA-256 over format, type, number of tokens, and the first and last mebibyte of them.
    pub(crate) fn fingerprint(&self) -> Result<String> {
        let bytes = self.n_tokens * self.width.bytes() as u64;
        let mut hash = Sha256::new_with_prefix(format!("{} {:?} {}\n", self.format, self.width, self.n_tokens));
        let mut piece = vec![0; bytes.min(SAMPLED_BYTES) as usize];
        for start in [0, bytes - piece.len() as u64] {
            self.pread(start, &mut piece)?;
            hash.update(&piece);
        }
        Ok(hex(&hash.finalize()))
    }

    /// Fills `out` with the bytes of the tokens from `first` on, which the file must have.
    pub(crate) fn read(&self, first: u64, out: &mut [u8]) -> Result<()> {
        self.pread(first * self.width.bytes() as u64, out)
    }

    /// The bytes of `n` tokens where the system keeps them, if the file is mapped.
    pub(crate) fn mapped_bytes(&self, first: u64, n: usize) -> Option<&[u8]> {
        let start = self.payload_at + first * self.width.bytes() as u64;
        let (_, map) = self.opened.get()?;
        map.as_ref()?.bytes(start as usize, n * self.width.bytes())
    }

    fn pread(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let (file, _) = self.open()?;
        let offset = self.payload_at + start;
        file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::format(&self.path, format!("ends before byte {offset}: cut")),
            _ => Error::io(&self.path)(error),
        })
    }

    fn open(&self) -> Result<&(PositionalFile, Option<MappedFile>)> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let file = regular_file::open_seekable(&self.path)?;
        let map = self.maps.then(|| MappedFile::new(&file, &self.path)).transpose()?;
        let file = PositionalFile::new(self.path.clone(), file, self.stays_open);
        Ok(self.opened.get_or_init(|| (file, map)))
    }
}

/// Told by content, but for Megatron's, whose tokens are raw and whose index lies beside them.
fn find(path: &Path, stored: Option<TokenWidth>) -> Result<Found> {
    let file = regular_file::open_seekable(path)?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut start = [0; 8];
    let n = file.read_at(&mut start, 0).map_err(Error::io(path))?;
    if start[..n].starts_with(npy::MAGIC) {
        return npy::find(path, &file, size);
    }
    if start[..n].starts_with(&llmc::MAGIC) {
        return llmc::find(path, &file, size);
    }
    let index = path.with_extension("idx");
    if index != path && index.is_file() {
        return megatron::find(path, &index, size);
    }
    match stored {
        Some(width) => raw(path, size, width),
        None => Err(Error::format(
            path,
            "neither llm.c's header, nor .npy, nor a Megatron index beside it: raw tokens need stored_dtype, \
             \"uint16\" or \"uint32\"",
        )),
    }
}

/// nanoGPT's files: tokens and nothing else.
fn raw(path: &Path, size: u64, width: TokenWidth) -> Result<Found> {
    let bytes = width.bytes() as u64;
    if !size.is_multiple_of(bytes) {
        return Err(Error::format(path, format!("{size} bytes are no whole number of {width:?} tokens")));
    }
    Ok(Found { format: "raw", payload_at: 0, n_tokens: size / bytes, width })
}

/// Refuses a file whose size is not what its header announces.
fn check_size(path: &Path, size: u64, found: Found) -> Result<Found> {
    let announced =
        found.n_tokens.checked_mul(found.width.bytes() as u64).and_then(|n| n.checked_add(found.payload_at));
    if announced == Some(size) {
        return Ok(found);
    }
    let Found { format, n_tokens, width, .. } = found;
    Err(Error::format(path, format!("{size} bytes, but its {format} header announces {n_tokens} tokens of {width:?}")))
}

#[cfg(test)]
mod tests;
