//! Encode text files into one file of ids: in order, on several threads, with memory that does not grow with the files.
//!
//! The file holds only ids, little-endian and without gaps, as `nanoGPT` reads them with `numpy.memmap`. A name that
//! ends in `.npy` gets `NumPy`'s header before the ids. The file gets its name only when it is complete.
//! [`crate::prepare`] writes shards with checksums and an index.

use crate::corpus::{Content, Kind, Reading, expand, for_each_document, for_each_piece};
use crate::durable::DurableFile;
use crate::encode::{Request, SpecialPolicy};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

/// Width of an id in memory and in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// uint16, for vocabularies of up to 65,536 ids.
    Two,
    /// uint32.
    Four,
}

/// Options for encoding files.
#[derive(Clone, Copy, Debug)]
pub struct TokenFileOptions<'a> {
    /// Width of an id in the file.
    pub width: Width,
    /// How to treat special tokens in the text.
    pub policy: &'a SpecialPolicy,
    /// An id to write after each document.
    pub end_id: Option<u32>,
    /// How files are divided into documents.
    pub reading: Reading<'a>,
    /// Maximum number of threads.
    pub threads: usize,
}

/// Callback that takes the number of bytes of text done, and breaks to stop.
pub type Watch<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Average bytes of text per thread and round.
const BYTES_A_THREAD: usize = 1 << 20;
/// `NumPy` requires a multiple of 64.
const NPY_HEADER_BYTES: usize = 128;

/// Encode all documents of `inputs`, files and folders, into `output`. Return the number of ids.
///
/// Memory grows with the number of threads and the longest stretch that cannot be split: a row, a run of one kind of
/// characters, or the whole text if its pattern runs on a general regex engine.
pub fn encode_files(
    tokenizer: &Tokenizer,
    inputs: &[PathBuf],
    output: &Path,
    options: &TokenFileOptions,
    watch: &mut Watch,
) -> Result<u64> {
    let files = expand(inputs)?;
    let mut round = Round::new(tokenizer, options, IdFile::create(output, options.width)?, watch);
    for path in &files {
        round.file(path)?;
    }
    round.encode()?;
    round.target.commit()
}

/// Return `ids` as uint16, or an error for the first id that does not fit. `before` is the number of earlier ids, for
/// the error's position.
pub fn narrowed(ids: &[u32], before: u64) -> Result<Vec<u16>> {
    let narrow = |(index, &id): (usize, &u32)| {
        u16::try_from(id).map_err(|_| Error::WideId { id, position: before + index as u64 })
    };
    ids.iter().enumerate().map(narrow).collect()
}

/// Texts collected until there is enough for all threads.
struct Round<'a, 'w> {
    tokenizer: &'a Tokenizer,
    options: &'a TokenFileOptions<'a>,
    target: IdFile,
    watch: &'w mut Watch<'w>,
    texts: Vec<Piece>,
    n_bytes: usize,
    n_bytes_done: u64,
}

struct Piece {
    text: String,
    ends_document: bool,
}

impl<'a, 'w> Round<'a, 'w> {
    fn new(
        tokenizer: &'a Tokenizer,
        options: &'a TokenFileOptions<'a>,
        target: IdFile,
        watch: &'w mut Watch<'_>,
    ) -> Self {
        Self { tokenizer, options, target, watch, texts: Vec::new(), n_bytes: 0, n_bytes_done: 0 }
    }

    /// Add all documents of one file.
    fn file(&mut self, path: &Path) -> Result<()> {
        let content = Kind::of(path)?.content;
        if content != Content::Text {
            return for_each_document(path, self.options.reading, |place, text| {
                let text = str::from_utf8(text).map_err(|error| match content {
                    Content::Text | Content::JsonLines => {
                        not_utf8(path, 0, error, &format!(" of the text in line {}", place.line))
                    }
                    Content::Parquet | Content::Arrow => {
                        not_utf8(path, 0, error, &format!(" of the text in row {}", place.line))
                    }
                })?;
                self.add(text, true)
            });
        }
        let (splitter, policy) = (self.tokenizer.splitter(), self.options.policy);
        for_each_piece(
            path,
            self.options.reading,
            |text| {
                let mut end = splitter.last_cut(text);
                while let Some(at) = end.filter(|&at| policy.may_lie_across(text, at)) {
                    end = splitter.last_cut(&text[..at]);
                }
                Ok(end)
            },
            |piece| {
                let text = str::from_utf8(piece.text).map_err(|error| not_utf8(path, piece.offset, error, ""))?;
                self.add(text, piece.ends)
            },
        )
    }

    fn add(&mut self, text: &str, ends_document: bool) -> Result<()> {
        self.n_bytes += text.len();
        self.texts.push(Piece { text: text.to_owned(), ends_document });
        if self.n_bytes >= BYTES_A_THREAD.saturating_mul(self.options.threads.max(1)) { self.encode() } else { Ok(()) }
    }

    /// Encode and write the collected texts.
    fn encode(&mut self) -> Result<()> {
        let texts: Vec<&str> = self.texts.iter().map(|piece| &*piece.text).collect();
        let wanted = Request { policy: Some(self.options.policy), max_tokens: None };
        let (ids, offsets) = self.tokenizer.encode_batch(&texts, wanted, self.options.threads)?;
        match self.options.end_id {
            None => self.target.write(&ids)?,
            Some(end) => {
                for (piece, span) in self.texts.iter().zip(offsets.windows(2)) {
                    self.target.write(&ids[span[0]..span[1]])?;
                    if piece.ends_document {
                        self.target.write(&[end])?;
                    }
                }
            }
        }
        self.n_bytes_done += self.n_bytes as u64;
        self.n_bytes = 0;
        self.texts.clear();
        if (self.watch)(self.n_bytes_done).is_break() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// Return the error for a text that starts at byte `before` of the file, or at a `place` in it.
fn not_utf8(path: &Path, before: u64, error: Utf8Error, place: &str) -> Error {
    let at = before + error.valid_up_to() as u64;
    Error::format(path, format!("is not UTF-8 at byte {at}{place}, expected text"))
}

/// The output file while it is written.
struct IdFile {
    file: std::io::BufWriter<DurableFile>,
    width: Width,
    is_npy: bool,
    n_ids: u64,
}

impl IdFile {
    fn create(path: &Path, width: Width) -> Result<Self> {
        let is_npy = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npy"));
        let mut file = DurableFile::create(path)?;
        if is_npy {
            // Leave room for the header: the number of ids is known only at the end, and a pipe cannot seek back.
            file.seek(SeekFrom::Start(NPY_HEADER_BYTES as u64)).map_err(Error::io(path))?;
        }
        Ok(Self { file: std::io::BufWriter::with_capacity(1 << 20, file), width, is_npy, n_ids: 0 })
    }

    fn write(&mut self, ids: &[u32]) -> Result<()> {
        let bytes: Vec<u8> = match self.width {
            Width::Two => narrowed(ids, self.n_ids)?.into_iter().flat_map(u16::to_le_bytes).collect(),
            Width::Four => ids.iter().flat_map(|id| id.to_le_bytes()).collect(),
        };
        self.n_ids += ids.len() as u64;
        self.put(&bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        let written = self.file.write_all(bytes);
        written.map_err(Error::io(self.file.get_ref().path()))
    }

    fn commit(self) -> Result<u64> {
        let path = self.file.get_ref().path().to_owned();
        let mut file = self.file.into_inner().map_err(|error| Error::io(&path)(error.into_error()))?;
        if self.is_npy {
            file.rewind().map_err(Error::io(&path))?;
            file = file.with(&npy_header(self.n_ids, self.width))?;
        }
        file.commit()?;
        Ok(self.n_ids)
    }
}

/// Return version 1.0 of `NumPy`'s header for a one-dimensional array of `n_ids` integers.
fn npy_header(n_ids: u64, width: Width) -> Vec<u8> {
    let descr = if width == Width::Two { "<u2" } else { "<u4" };
    let described = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({n_ids},), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((NPY_HEADER_BYTES - 10) as u16).to_le_bytes());
    header.extend(format!("{described:<width$}\n", width = NPY_HEADER_BYTES - 11).bytes());
    header
}

#[cfg(test)]
mod tests;
