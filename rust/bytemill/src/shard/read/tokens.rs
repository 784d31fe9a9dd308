//! All tokens of a split as one row over all its files.

use std::ops::Range;
use std::path::Path;

use super::shard_reader::{ShardReader, Verify};
use crate::error::{Error, Result};
use crate::hints::prefetch_all;
use crate::interrupt;
use crate::shard::files::positional_file::MAX_OPEN_FILES;
use crate::shard::foreign::ForeignFile;
use crate::shard::format::header::{Split, TokenWidth};
use crate::shard::format::manifest::Manifest;

/// Concatenated shards and files of tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    files: Vec<TokenFile>,
    /// Position of each file's first token, then the number of all tokens.
    starts: Vec<u64>,
    width: TokenWidth,
    verify: Verify,
    /// Maximum number of files kept open; each further file is opened for each read.
    most_open: usize,
}

#[derive(Clone, Debug)]
enum TokenFile {
    Shard(ShardReader),
    Foreign(ForeignFile),
}

impl Tokens {
    /// Open the `split` of each folder, in the given order. All folders must have the first one's dtype.
    pub fn open<'a>(
        folders: impl IntoIterator<Item = (&'a Path, &'a Manifest)>,
        split: Split,
        verify: Verify,
    ) -> Result<Self> {
        let mut tokens = Self::empty(TokenWidth::Uint16, verify, MAX_OPEN_FILES);
        for (folder, manifest) in folders {
            tokens.width = manifest.dtype;
            tokens.add_shards(folder, manifest, split)?;
        }
        Ok(tokens)
    }

    pub(in crate::shard) fn empty(width: TokenWidth, verify: Verify, most_open: usize) -> Self {
        Self { files: Vec::new(), starts: vec![0], width, verify, most_open }
    }

    /// Append the shards of a split.
    pub(in crate::shard) fn add_shards(&mut self, folder: &Path, manifest: &Manifest, split: Split) -> Result<()> {
        for entry in manifest.split(split) {
            interrupt::check();
            let reader = ShardReader::new(folder, manifest, entry)?;
            let reader = if self.files.len() < self.most_open { reader } else { reader.not_kept_open() };
            self.add(TokenFile::Shard(reader), entry.tokens);
        }
        Ok(())
    }

    /// Append a file of another program.
    pub(in crate::shard) fn add_file(&mut self, file: ForeignFile) {
        let n_tokens = file.n_tokens();
        let file = if self.files.len() < self.most_open { file } else { file.not_kept_open() };
        self.add(TokenFile::Foreign(file), n_tokens);
    }

    /// Call `each` with every token in `range` at which a document begins, in order.
    pub fn for_each_start(&self, range: Range<u64>, mut each: impl FnMut(u64)) -> Result<()> {
        for (file, &file_at) in self.files.iter().zip(&self.starts) {
            if file_at >= range.end || file_at + file.n_tokens() <= range.start {
                continue;
            }
            let starts = file.document_starts()?;
            let from = starts.partition_point(|&start| file_at + u64::from(start) < range.start);
            let inside = starts[from..].iter().map(|&start| file_at + u64::from(start));
            inside.take_while(|&start| start < range.end).for_each(&mut each);
        }
        Ok(())
    }

    /// Return an error if a file has no document boundaries.
    pub(in crate::shard) fn check_documents(&self) -> Result<()> {
        let foreign = self.files.iter().find_map(|file| match file {
            TokenFile::Shard(_) => None,
            TokenFile::Foreign(file) => Some(file.without_documents()),
        });
        foreign.map_or(Ok(()), Err)
    }

    fn add(&mut self, file: TokenFile, n_tokens: u64) {
        self.files.push(file);
        self.starts.push(self.len() + n_tokens);
    }

    /// Return the number of tokens.
    pub fn len(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Return whether there are no tokens.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Return the width of the tokens returned by [`Tokens::read`].
    pub fn width(&self) -> TokenWidth {
        self.width
    }

    /// Return the same tokens, read from mapped files after they are checked.
    pub(in crate::shard) fn mapped(mut self) -> Self {
        let map = |file| match file {
            TokenFile::Shard(reader) => TokenFile::Shard(reader.mapped()),
            TokenFile::Foreign(file) => TokenFile::Foreign(file.mapped()),
        };
        self.files = self.files.into_iter().map(map).collect();
        self
    }

    /// Return the bytes of `n` tokens from `first`, from `buffers` or from mapped memory. All must be below
    /// [`Tokens::len`].
    pub fn read<'a>(&'a self, first: u64, n: usize, buffers: &'a mut Buffers) -> Result<&'a [u8]> {
        if first.checked_add(n as u64).is_none_or(|end| end > self.len()) {
            let got = format!("{n} from {first} on");
            return Err(Error::Argument { name: "tokens", got, expected: format!("a range below {}", self.len()) });
        }
        if let Some(bytes) = self.mapped_bytes(first, n) {
            return Ok(bytes);
        }
        let (width, mut number) = (self.width.bytes(), self.file_at(first));
        buffers.tokens.resize(n * width, 0);
        let (mut first, mut out) = (first, buffers.tokens.as_mut_slice());
        while !out.is_empty() {
            let in_file = (self.starts[number + 1] - first).min((out.len() / width) as u64);
            let (now, later) = out.split_at_mut(in_file as usize * width);
            self.files[number].read(first - self.starts[number], now, self.verify, &mut buffers.block)?;
            (first, out, number) = (first + in_file, later, number + 1);
        }
        Ok(&buffers.tokens)
    }

    /// Prefetch tokens into the processor's caches, if they are in mapped memory.
    pub(in crate::shard) fn prefetch(&self, first: u64, n: usize) {
        if let Some(bytes) = self.mapped_bytes(first, n) {
            prefetch_all(bytes);
        }
    }

    /// Return the tokens if they are in one mapped file and need no further check.
    fn mapped_bytes(&self, first: u64, n: usize) -> Option<&[u8]> {
        let number = self.file_at(first);
        let file = self.files.get(number).filter(|_| first + n as u64 <= self.starts[number + 1])?;
        file.mapped_bytes(first - self.starts[number], n, self.verify)
    }

    /// Return the number of the file that contains this token.
    fn file_at(&self, token: u64) -> usize {
        self.starts.partition_point(|&start| start <= token) - 1
    }
}

impl TokenFile {
    fn n_tokens(&self) -> u64 {
        match self {
            Self::Shard(reader) => reader.n_tokens(),
            Self::Foreign(file) => file.n_tokens(),
        }
    }

    fn document_starts(&self) -> Result<&[u32]> {
        match self {
            Self::Shard(reader) => reader.document_starts(),
            Self::Foreign(file) => Err(file.without_documents()),
        }
    }

    fn read(&self, first: u64, out: &mut [u8], verify: Verify, block: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Shard(reader) => reader.read(first, out, verify, block),
            Self::Foreign(file) => file.read(first, out),
        }
    }

    fn mapped_bytes(&self, first: u64, n: usize, verify: Verify) -> Option<&[u8]> {
        match self {
            Self::Shard(reader) => reader.mapped_bytes(first, n, verify),
            Self::Foreign(file) => file.mapped_bytes(first, n),
        }
    }
}

/// Memory that reads reuse.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    tokens: Vec<u8>,
    block: Vec<u8>,
}
