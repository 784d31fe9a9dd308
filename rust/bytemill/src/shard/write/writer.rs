//! Ids to shards: write a split's documents into files that are complete or absent.
//!
//! Tokens fill shards exactly, so a document may continue in the next shard. The `.idx` next to each shard records
//! where pieces of documents begin. Memory: 1 MiB and four bytes per document.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::durable::{DurableFile, commit_all};
use crate::error::{Error, Result};
use crate::shard::format::checksum::{BLOCK_BYTES, BlockChecksums, sha256_of_file};
use crate::shard::format::entries::ShardEntry;
use crate::shard::format::header::{HEADER_BYTES, Header, MAX_SHARD_TOKENS, MAX_VOCAB, Split, TokenWidth};
use crate::shard::format::index::Index;

/// Settings shared by all shards of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Upper bound of all ids, exclusive.
    pub n_vocab: u32,
    /// The id at the start of each document, if any.
    pub end_of_text: Option<u32>,
    /// Tokens of each shard except the last, 1 to [`MAX_SHARD_TOKENS`].
    pub shard_tokens: u64,
}

impl Layout {
    /// Return the layout, or an error if it is invalid.
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
    /// Create a writer of `split` into `folder`, which must exist.
    pub fn new(folder: &Path, split: Split, layout: Layout) -> Result<Self> {
        let folder = folder.to_owned();
        let layout = layout.check()?;
        Ok(Self { folder, split, layout, shard: None, finished: Vec::new(), n_tokens: 0, at_document_start: false })
    }

    /// Create a writer that continues after finished shards, all of them full.
    pub(crate) fn resume(folder: &Path, split: Split, layout: Layout, finished: Vec<ShardEntry>) -> Result<Self> {
        let n_tokens = finished.iter().map(|shard| shard.tokens).sum();
        Ok(Self { finished, n_tokens, ..Self::new(folder, split, layout)? })
    }

    /// Start a document. If there is an end-of-text id, write it at the start.
    pub fn begin_document(&mut self) -> Result<()> {
        self.at_document_start = true;
        match self.layout.end_of_text {
            Some(id) => self.write(&[id]),
            None => Ok(()),
        }
    }

    /// Append ids to the document. Ids written before a document is started belong to a document that started
    /// elsewhere.
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

    /// Return the number of tokens written so far.
    pub fn n_tokens(&self) -> u64 {
        self.n_tokens
    }

    /// Return the finished shards.
    pub(crate) fn finished(&self) -> &[ShardEntry] {
        &self.finished
    }

    /// Complete the last shard; nothing may be written after that.
    pub(crate) fn complete(&mut self) -> Result<()> {
        if let Some(shard) = self.shard.take() {
            self.finished.push(shard.finish()?);
        }
        Ok(())
    }

    /// Complete the last shard and return the entries for the manifest.
    pub fn finish(mut self) -> Result<Vec<ShardEntry>> {
        self.complete()?;
        Ok(self.finished)
    }
}

/// The shard that is being filled, with a temporary name.
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
        // The header is known only at the end; leave room for it.
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

    /// Write the header and the side files, then rename all three files, the `.bin` last.
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
