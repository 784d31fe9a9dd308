//! Token files of other programs: llm.c, nanoGPT, `.npy`, Megatron. Everything that can be checked is checked.
//!
//! These files have no checksums, so damaged tokens are not detected. Sizes in a header are compared with the file's
//! size. Nothing is guessed: a raw `.bin` does not contain its type, so the caller must give it.

mod llmc;
mod megatron;
mod npy;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::platform;
use crate::regular_file;
use crate::shard::files::mapped_file::MappedFile;
use crate::shard::files::positional_file::PositionalFile;
use crate::shard::format::checksum::hex;
use crate::shard::format::header::TokenWidth;

/// Bytes at each end of the tokens that are hashed to identify the data in a loader's state.
const SAMPLED_BYTES: u64 = 1 << 20;

/// A file of tokens; it is opened at the first read.
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

/// The location of a file's tokens, from its header.
struct Found {
    format: &'static str,
    payload_at: u64,
    n_tokens: u64,
    width: TokenWidth,
}

impl Clone for ForeignFile {
    /// Return the same file, not opened yet.
    fn clone(&self) -> Self {
        let (path, format, opened) = (self.path.clone(), self.format, OnceLock::new());
        let (payload_at, n_tokens, width) = (self.payload_at, self.n_tokens, self.width);
        Self { path, format, payload_at, n_tokens, width, maps: self.maps, stays_open: self.stays_open, opened }
    }
}

impl ForeignFile {
    /// Detect the format of the file at `path`; `stored` is the type of a raw file's tokens.
    pub(crate) fn new(path: &Path, stored: Option<TokenWidth>) -> Result<Self> {
        let found = find(path, stored)?;
        if stored.is_some_and(|stored| stored != found.width) {
            let reason = format!("is a {} file of {:?}, but stored_dtype is different", found.format, found.width);
            return Err(Error::format(path, reason));
        }
        if found.n_tokens == 0 {
            return Err(Error::format(path, format!("is a {} file without tokens", found.format)));
        }
        let Found { format, payload_at, n_tokens, width } = found;
        let (path, opened) = (path.to_owned(), OnceLock::new());
        Ok(Self { path, format, payload_at, n_tokens, width, maps: false, stays_open: true, opened })
    }

    /// Return the file with memory mapping enabled.
    pub(crate) fn mapped(self) -> Self {
        Self { maps: true, ..self }
    }

    /// Return the file with a setting to open it for each read.
    pub(crate) fn not_kept_open(self) -> Self {
        Self { stays_open: false, ..self }
    }

    /// Return the error for a request for document boundaries.
    pub(crate) fn without_documents(&self) -> Error {
        let reason = format!("is a {} file without document boundaries; use shards written by bytemill", self.format);
        Error::format(&self.path, reason)
    }

    /// Return the number of tokens.
    pub(crate) fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Return the width of a token.
    pub(crate) fn width(&self) -> TokenWidth {
        self.width
    }

    /// Return the hash that identifies the data: SHA-256 of format, type, number of tokens, and the first and last MiB
    /// of tokens.
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

    /// Fill `out` with the bytes of the tokens from `first`; the file must contain them.
    pub(crate) fn read(&self, first: u64, out: &mut [u8]) -> Result<()> {
        self.pread(first * self.width.bytes() as u64, out)
    }

    /// Return the bytes of `n` tokens in mapped memory, if the file is mapped.
    pub(crate) fn mapped_bytes(&self, first: u64, n: usize) -> Option<&[u8]> {
        let start = self.payload_at + first * self.width.bytes() as u64;
        let (_, map) = self.opened.get()?;
        map.as_ref()?.bytes(start as usize, n * self.width.bytes())
    }

    fn pread(&self, start: u64, out: &mut [u8]) -> Result<()> {
        let (file, _) = self.open()?;
        let offset = self.payload_at + start;
        file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => {
                Error::format(&self.path, format!("ends before byte {offset}: it is truncated"))
            }
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

/// Detect the format from the content; Megatron's raw tokens are detected by the index file next to them.
fn find(path: &Path, stored: Option<TokenWidth>) -> Result<Found> {
    let file = regular_file::open_seekable(path)?;
    let size = file.metadata().map_err(Error::io(path))?.len();
    let mut start = [0; 8];
    let n = platform::read_at(&file, &mut start, 0).map_err(Error::io(path))?;
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
            "has no llm.c header, no .npy header and no Megatron index next to it: for raw tokens set stored_dtype, \
             \"uint16\" or \"uint32\"",
        )),
    }
}

/// nanoGPT's files: tokens only.
fn raw(path: &Path, size: u64, width: TokenWidth) -> Result<Found> {
    let bytes = width.bytes() as u64;
    if !size.is_multiple_of(bytes) {
        return Err(Error::format(path, format!("has {size} bytes, which is not a whole number of {width:?} tokens")));
    }
    Ok(Found { format: "raw", payload_at: 0, n_tokens: size / bytes, width })
}

/// Return an error if the file's size does not match its header.
fn check_size(path: &Path, size: u64, found: Found) -> Result<Found> {
    let announced =
        found.n_tokens.checked_mul(found.width.bytes() as u64).and_then(|n| n.checked_add(found.payload_at));
    if announced == Some(size) {
        return Ok(found);
    }
    let Found { format, n_tokens, width, .. } = found;
    Err(Error::format(path, format!("has {size} bytes, but its {format} header says {n_tokens} tokens of {width:?}")))
}

#[cfg(test)]
mod tests;
