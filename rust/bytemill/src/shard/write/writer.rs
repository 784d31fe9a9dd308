//! Ids in, shards out: the streams of a split's documents, cut into files that are whole or absent.
//!
//! Tokens fill shards exactly, so a document may go on in the next shard; the `.idx` beside each
//! shard tells where pieces of documents begin. Memory: one mebibyte and four bytes a document.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::durable::{DurableFile, commit_all};
use crate::error::{Error, Result};
use crate::shard::format::checksum::{BLOCK_BYTES, BlockChecksums, sha256_of_file};
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, Header, MAX_SHARD_TOKENS, MAX_VOCAB, Split, TokenWidth};
use crate::shard::format::index::Index;

/// What all shards of a folder have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Every id must be below this.
    pub n_vocab: u32,
    /// The id put at the start of each document, if any.
    pub end_of_text: Option<u32>,
    /// Tokens of each shard but the last, 1 to [`MAX_SHARD_TOKENS`].
    pub shard_tokens: u64,
}

impl Layout {
    /// The same, if it can be.
    pub(crate) fn check(self) -> Result<Self> {
        let refuse = |name, got: u64, expected| Err(Error::Argument { name, got: got.to_string(), expected });
        if !(1..=MAX_VOCAB).contains(&self.n_vocab) {
            return refuse("n_vocab", self.n_vocab.into(), format!("1 to {MAX_VOCAB}"));
        }
        if let Some(id) = self.end_of_text.filter(|&id| id >= self.n_vocab) {
            return refuse("end_of_text", id.into(), format!("an id below n_vocab {}", self.n_vocab));
        }
        if !(1..=MAX_SHARD_TOKENS).contains(&self.shard_tokens) {
            return refuse("shard_tokens", self.shard_tokens, format!("1 to {MAX_SHARD_TOKENS}"));
        }
        Ok(self)
    }
}

/// Writes the shards of one split.
///
/// ```
/// use bytemill::shard::{Layout, Manifest, Split, SplitWriter};
/// let folder = tempfile::tempdir()?;
/// let layout = Layout { n_vocab: 300, end_of_text: Some(299), shard_tokens: 4 };
/// let mut writer = SplitWriter::new(folder.path(), Split::Train, layout)?;
/// for document in [[1, 2, 3, 4], [5, 6, 7, 8]] {
///     writer.begin_document()?;
///     writer.write(&document)?;
/// }
/// let shards = writer.finish()?; // 299 1 2 3 | 4 299 5 6 | 7 8
/// assert_eq!(shards.iter().map(|shard| shard.tokens).collect::<Vec<_>>(), [4, 4, 2]);
/// Manifest::new(300, "fingerprint".to_owned(), Some(299), shards).write(folder.path())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SplitWriter {
    folder: PathBuf,
    split: Split,
    layout: Layout,
    shard: Option<OpenShard>,
    finished: Vec<ShardEntry>,
    n_tokens: u64,
    at_document_start: bool,
}

impl SplitWriter {
    /// A writer of `split` into `folder`, which must be there.
    pub fn new(folder: &Path, split: Split, layout: Layout) -> Result<Self> {
        let folder = folder.to_owned();
        let layout = layout.check()?;
        Ok(Self { folder, split, layout, shard: None, finished: Vec::new(), n_tokens: 0, at_document_start: false })
    }

    /// A writer that goes on behind shards that are finished, all of them full.
    pub(crate) fn resume(folder: &Path, split: Split, layout: Layout, finished: Vec<ShardEntry>) -> Result<Self> {
        let n_tokens = finished.iter().map(|shard| shard.tokens).sum();
        Ok(Self { finished, n_tokens, ..Self::new(folder, split, layout)? })
    }

    /// Starts a document: its end-of-text token, where there is one, stands at its start.
    pub fn begin_document(&mut self) -> Result<()> {
        self.at_document_start = true;
        match self.layout.end_of_text {
            Some(id) => self.write(&[id]),
            None => Ok(()),
        }
    }

    /// Appends ids to the document. Without a document begun, they count as the rest of one from elsewhere.
    pub fn write(&mut self, ids: &[u32]) -> Result<()> {
        let n_vocab = self.layout.n_vocab;
        if let Some(i) = ids.iter().position(|&id| id >= n_vocab) {
            let position = self.n_tokens as usize + i;
            return Err(Error::UnknownId { id: ids[i], position, n_vocab: n_vocab as usize });
        }
        let mut ids = ids;
        while !ids.is_empty() {
            let mut shard = match self.shard.take() {
                Some(shard) => shard,
                None => OpenShard::create(&self.folder, self.split, self.finished.len() as u32, self.layout)?,
            };
            let room = self.layout.shard_tokens - shard.n_tokens;
            let (now, later) = ids.split_at(room.min(ids.len() as u64) as usize);
            shard.append(now, std::mem::take(&mut self.at_document_start))?;
            self.n_tokens += now.len() as u64;
            ids = later;
            if shard.n_tokens == self.layout.shard_tokens {
                self.finished.push(shard.finish()?);
            } else {
                self.shard = Some(shard);
            }
        }
        Ok(())
    }

    /// Tokens written so far.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// The shards that are finished so far.
    pub(crate) fn finished(&self) -> &[ShardEntry] {
        &self.finished
    }

    /// Completes the last shard; nothing may be written after that.
    pub(crate) fn complete(&mut self) -> Result<()> {
        if let Some(shard) = self.shard.take() {
            self.finished.push(shard.finish()?);
        }
        Ok(())
    }

    /// Completes the last shard and gives the manifest's rows.
    pub fn finish(mut self) -> Result<Vec<ShardEntry>> {
        self.complete()?;
        Ok(self.finished)
    }
}

/// The shard being filled, under a temporary name.
#[derive(Debug)]
struct OpenShard {
    file: DurableFile,
    folder: PathBuf,
    split: Split,
    number: u32,
    width: TokenWidth,
    end_of_text: Option<u32>,
    n_tokens: u64,
    n_documents: u64,
    max_id: u32,
    piece_lengths: Vec<u32>,
    blocks: BlockChecksums,
    pending: Vec<u8>,
}

impl OpenShard {
    fn create(folder: &Path, split: Split, number: u32, layout: Layout) -> Result<Self> {
        // The header can be told only at the end; its place is kept.
        let file = DurableFile::create_in(folder, &ShardEntry::bin_name(split, number))?.with(&[0; HEADER_BYTES])?;
        Ok(Self {
            file,
            folder: folder.to_owned(),
            split,
            number,
            width: TokenWidth::for_vocab(layout.n_vocab),
            end_of_text: layout.end_of_text,
            n_tokens: 0,
            n_documents: 0,
            max_id: 0,
            piece_lengths: Vec::new(),
            blocks: BlockChecksums::default(),
            pending: Vec::with_capacity(BLOCK_BYTES),
        })
    }

    fn append(&mut self, ids: &[u32], begins_document: bool) -> Result<()> {
        self.n_documents += u64::from(begins_document);
        if begins_document || self.piece_lengths.is_empty() {
            self.piece_lengths.push(0);
        }
        if let Some(length) = self.piece_lengths.last_mut() {
            *length += ids.len() as u32;
        }
        self.n_tokens += ids.len() as u64;
        for ids in ids.chunks(BLOCK_BYTES / 4) {
            self.max_id = ids.iter().fold(self.max_id, |max, &id| max.max(id));
            match self.width {
                TokenWidth::Uint16 => self.pending.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
                TokenWidth::Uint32 => self.pending.extend(ids.iter().flat_map(|&id| id.to_le_bytes())),
            }
            if self.pending.len() >= BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.blocks.update(&self.pending);
        self.file.write_all(&self.pending).map_err(Error::io(self.file.path()))?;
        self.pending.clear();
        Ok(())
    }

    /// Writes header and side files and gives all three their names, the `.bin` the last.
    fn finish(mut self) -> Result<ShardEntry> {
        self.flush()?;
        let header = Header {
            width: self.width,
            n_tokens: self.n_tokens,
            payload_crc32c: self.blocks.payload_crc32c(),
            end_of_text: self.end_of_text,
            n_documents: self.n_documents,
            shard_number: self.number,
            split: self.split,
        };
        let path = self.file.path().to_owned();
        self.file.rewind().map_err(Error::io(&path))?;
        let index = Index { width: self.width, lengths: self.piece_lengths }.encode();
        let blocks = self.blocks.encode();
        let mut entry = ShardEntry {
            split: self.split,
            number: self.number,
            name: ShardEntry::bin_name(self.split, self.number),
            tokens: self.n_tokens,
            documents: self.n_documents,
            bytes: header.file_bytes(),
            max_id: self.max_id,
            crc32c: header.payload_crc32c,
            sha256: String::new(),
            index_crc32c: crc32c::crc32c(&index),
            blocks_crc32c: crc32c::crc32c(&blocks),
        };
        let index = DurableFile::create_in(&self.folder, &entry.side_name("idx"))?.with(&index)?;
        let blocks = DurableFile::create_in(&self.folder, &entry.side_name("crc"))?.with(&blocks)?;
        commit_all(vec![index, blocks, self.file.with(&header.encode())?])?;
        entry.sha256 = sha256_of_file(&path)?;
        Ok(entry)
    }
}
