//! Tokens of one shard, by position, checked against the blocks' checksums before use.
//!
//! Reads use `pread`: truncating a mapped file kills the process, whereas a short read is an error that can be
//! reported. Files are opened at the first read.

use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Result};
use crate::platform;
use crate::regular_file;
use crate::shard::files::folder::{file_in, side_file};
use crate::shard::files::mapped_file::MappedFile;
use crate::shard::files::positional_file::PositionalFile;
use crate::shard::format::checksum::{self, BLOCK_BYTES, BlockChecksums};
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, Header, TokenWidth};
use crate::shard::format::index::Index;
use crate::shard::format::manifest::Manifest;

/// Bytes of a block per read and checksum step: they stay in the processor's near caches.
const PIECE_BYTES: usize = 1 << 16;

/// When to check a block's checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verify {
    /// When this process first reads from the block.
    #[default]
    FirstTouch,
    /// At each read.
    Always,
    /// Never; sizes and headers are still checked.
    Never,
}

/// One shard; it is opened at the first read.
#[derive(Debug)]
pub(super) struct ShardReader {
    path: PathBuf,
    folder: PathBuf,
    entry: ShardEntry,
    width: TokenWidth,
    end_of_text: Option<u32>,
    maps: bool,
    stays_open: bool,
    opened: OnceLock<Opened>,
    /// Starts of documents, in tokens.
    starts: OnceLock<Vec<u32>>,
}

#[derive(Debug)]
struct Opened {
    file: PositionalFile,
    map: Option<MappedFile>,
    blocks: BlockChecksums,
    touched: Vec<AtomicBool>,
}

impl Clone for ShardReader {
    /// Return the same shard, not opened yet.
    fn clone(&self) -> Self {
        let (path, folder, entry) = (self.path.clone(), self.folder.clone(), self.entry.clone());
        let (width, end_of_text, maps, stays_open) = (self.width, self.end_of_text, self.maps, self.stays_open);
        let (opened, starts) = (OnceLock::new(), OnceLock::new());
        Self { path, folder, entry, width, end_of_text, maps, stays_open, opened, starts }
    }
}

impl ShardReader {
    /// Create a reader of the shard `entry` of `manifest` in `folder`. Check the file's size, but do not open the file.
    pub(in crate::shard) fn new(folder: &Path, manifest: &Manifest, entry: &ShardEntry) -> Result<Self> {
        let path = file_in(folder, &entry.name)?;
        let reader = Self {
            path,
            folder: folder.to_owned(),
            entry: entry.clone(),
            width: manifest.dtype,
            end_of_text: manifest.end_of_text,
            maps: false,
            stays_open: true,
            opened: OnceLock::new(),
            starts: OnceLock::new(),
        };
        let size = reader.path.metadata().map_err(Error::io(&reader.path))?.len();
        reader.check_size(size)?;
        Ok(reader)
    }

    /// Return the shard with memory mapping enabled.
    pub(in crate::shard) fn mapped(self) -> Self {
        Self { maps: true, ..self }
    }

    /// Return the shard with a setting to open its file for each read.
    pub(in crate::shard) fn not_kept_open(self) -> Self {
        Self { stays_open: false, ..self }
    }

    /// Return the bytes of `n` tokens in mapped memory, if the file is mapped and the tokens need no further check.
    pub(in crate::shard) fn mapped_bytes(&self, first: u64, n: usize, verify: Verify) -> Option<&[u8]> {
        let opened = self.opened.get()?;
        let map = opened.map.as_ref()?;
        let (start, n) = (first * self.width.bytes() as u64, n * self.width.bytes());
        let trusted = opened.trusts(&blocks_of(&(start..start + n as u64)), verify);
        if trusted { map.bytes(HEADER_BYTES + start as usize, n) } else { None }
    }

    /// Fill `out` with the bytes of the tokens from `first`; the shard must contain them. `piece` is a scratch buffer.
    pub(in crate::shard) fn read(&self, first: u64, out: &mut [u8], verify: Verify, piece: &mut Vec<u8>) -> Result<()> {
        let opened = self.open()?;
        let start = first * self.width.bytes() as u64;
        let bytes = start..start + out.len() as u64;
        let blocks = blocks_of(&bytes);
        if opened.trusts(&blocks, verify) {
            return self.pread(opened, bytes.start, out);
        }
        blocks.into_iter().try_for_each(|number| self.read_checked(opened, number, &bytes, out, piece))
    }

    /// Read block `number` piece by piece, copy the `wanted` part into `out`, and check the whole block.
    fn read_checked(
        &self,
        opened: &Opened,
        number: usize,
        wanted: &Range<u64>,
        out: &mut [u8],
        piece: &mut Vec<u8>,
    ) -> Result<()> {
        let start = (number * BLOCK_BYTES) as u64;
        let end = (start + BLOCK_BYTES as u64).min(opened.blocks.payload_bytes());
        let mut crc32c = 0;
        for at in (start..end).step_by(PIECE_BYTES) {
            piece.resize((end - at).min(PIECE_BYTES as u64) as usize, 0);
            self.pread(opened, at, piece)?;
            crc32c = crc32c::crc32c_append(crc32c, piece);
            let common = wanted.start.max(at)..wanted.end.min(at + piece.len() as u64);
            if !common.is_empty() {
                let from = &piece[(common.start - at) as usize..(common.end - at) as usize];
                out[(common.start - wanted.start) as usize..][..from.len()].copy_from_slice(from);
            }
        }
        opened.blocks.check_crc32c(&self.path, number, end.saturating_sub(start) as usize, crc32c)?;
        opened.touched[number].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Return the number of tokens in the shard.
    pub(in crate::shard) fn n_tokens(&self) -> u64 {
        self.entry.tokens
    }

    /// Return the starts of documents in tokens, in order, without the rest of a document from the shard before.
    pub(in crate::shard) fn document_starts(&self) -> Result<&[u32]> {
        if let Some(starts) = self.starts.get() {
            return Ok(starts);
        }
        let index = Index::read(&self.folder, &self.entry, self.width)?;
        let starts = index.document_starts(self.entry.documents).map(|start| start as u32).collect();
        Ok(self.starts.get_or_init(|| starts))
    }

    /// Read payload bytes from `start`.
    fn pread(&self, opened: &Opened, start: u64, out: &mut [u8]) -> Result<()> {
        let offset = HEADER_BYTES as u64 + start;
        opened.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => Error::format(
                &self.path,
                format!(
                    "ends before byte {}, expected {} bytes: it is truncated",
                    offset + out.len() as u64,
                    self.entry.bytes
                ),
            ),
            _ => Error::io(&self.path)(error),
        })
    }

    fn open(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = self.open_now()?;
        Ok(self.opened.get_or_init(|| opened))
    }

    fn open_now(&self) -> Result<Opened> {
        let size = checksum::encoded_bytes(self.entry.tokens * self.width.bytes() as u64);
        let (blocks_path, blocks_bytes) = side_file(&self.folder, &self.entry.side_name("crc"), &[size])?;
        if crc32c::crc32c(&blocks_bytes) != self.entry.blocks_crc32c {
            return Err(Error::format(&blocks_path, "is damaged: its checksum does not match the manifest"));
        }
        let blocks = BlockChecksums::decode(&blocks_path, &blocks_bytes)?;
        let file = regular_file::open_seekable(&self.path)?;
        self.check_size(file.metadata().map_err(Error::io(&self.path))?.len())?;
        let mut header = [0; HEADER_BYTES];
        platform::read_exact_at(&file, &mut header, 0).map_err(Error::io(&self.path))?;
        self.check_header(&Header::decode(&self.path, &header)?, &blocks)?;
        let touched = (0..blocks.n_blocks()).map(|_| AtomicBool::new(false)).collect();
        let map = self.maps.then(|| MappedFile::new(&file, &self.path)).transpose()?;
        Ok(Opened { file: PositionalFile::new(self.path.clone(), file, self.stays_open), map, blocks, touched })
    }

    fn check_size(&self, size: u64) -> Result<()> {
        if size == self.entry.bytes {
            return Ok(());
        }
        Err(Error::format(&self.path, format!("has {size} bytes, the manifest says {}", self.entry.bytes)))
    }

    /// Return an error if header, side file and manifest describe the shard differently.
    fn check_header(&self, header: &Header, blocks: &BlockChecksums) -> Result<()> {
        let expected = Header {
            width: self.width,
            n_tokens: self.entry.tokens,
            payload_crc32c: self.entry.crc32c,
            end_of_text: self.end_of_text,
            n_documents: self.entry.documents,
            shard_number: self.entry.number,
            split: self.entry.split,
        };
        if *header != expected {
            return Err(Error::format(&self.path, format!("header is {header:?}, the manifest says {expected:?}")));
        }
        let of_blocks = (blocks.payload_bytes() + HEADER_BYTES as u64, blocks.payload_crc32c());
        if of_blocks == (self.entry.bytes, self.entry.crc32c) {
            return Ok(());
        }
        Err(Error::format(&self.path, "its side file has the checksums of another payload"))
    }
}

impl Opened {
    /// Return whether bytes of these blocks may be used without a check.
    fn trusts(&self, blocks: &Range<usize>, verify: Verify) -> bool {
        match verify {
            Verify::Never => true,
            Verify::Always => false,
            Verify::FirstTouch => {
                self.touched.get(blocks.clone()).is_some_and(|t| t.iter().all(|t| t.load(Ordering::Relaxed)))
            }
        }
    }
}

/// Return the blocks that contain these payload bytes.
fn blocks_of(bytes: &Range<u64>) -> Range<usize> {
    (bytes.start / BLOCK_BYTES as u64) as usize..bytes.end.div_ceil(BLOCK_BYTES as u64) as usize
}
