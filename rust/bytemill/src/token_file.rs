//! Files of text to one file of ids: in order, on threads, in memory that does not grow with the files.
//!
//! The file holds the ids alone, little-endian and one behind the other, as `nanoGPT` reads them with
//! `numpy.memmap`; a name that ends in `.npy` gets `NumPy`'s header before them. It takes its name only when it is
//! whole. Shards with checksums and an index are written by [`crate::prepare`].

use crate::corpus::{Content, Kind, Reading, expand, for_each_document, for_each_piece};
use crate::durable::DurableFile;
use crate::encode::{Request, SpecialPolicy};
use crate::error::{Error, Result};
use crate::tokenizer::Tokenizer;
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::str::Utf8Error;

/// How wide an id lies in memory and in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// uint16, for vocabularies of up to 65,536 ids.
    Two,
    /// uint32.
    Four,
}

/// How files become ids.
#[derive(Clone, Copy, Debug)]
pub struct TokenFileOptions<'a> {
    /// Of an id in the file.
    pub width: Width,
    /// What to do about special tokens in the text.
    pub policy: &'a SpecialPolicy,
    /// An id that is written after each document.
    pub end_id: Option<u32>,
    /// What a document is.
    pub reading: Reading<'a>,
    /// At most so many threads.
    pub threads: usize,
}

/// Told how many bytes of text are done; breaks to stop.
pub type Watch<'a> = dyn FnMut(u64) -> ControlFlow<()> + 'a;

/// Text that a thread is given at once, on average.
const BYTES_A_THREAD: usize = 1 << 20;
/// `NumPy` asks for a multiple of 64.
const NPY_HEADER_BYTES: usize = 128;

/// Writes the ids of all documents of `inputs`, files and folders, to `output`; how many they are.
///
/// Memory follows the number of threads and the longest stretch that cannot be cut: a row, a run of one kind of
/// characters, or all of a text whose pattern is not one of those by hand.
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

/// `ids` in half the room, or the first that does not fit. `before`: how many ids came earlier.
pub fn narrowed(ids: &[u32], before: u64) -> Result<Vec<u16>> {
    let narrow = |(index, &id): (usize, &u32)| {
        u16::try_from(id).map_err(|_| Error::WideId { id, position: before + index as u64 })
    };
    ids.iter().enumerate().map(narrow).collect()
}

/// Text that waits until there is enough for all threads.
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

    /// Takes all documents of one file.
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

    /// Writes the ids of what waits.
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

/// What is said of a text that begins behind `before` bytes of the file, or of a `place` in it.
fn not_utf8(path: &Path, before: u64, error: Utf8Error, place: &str) -> Error {
    let at = before + error.valid_up_to() as u64;
    Error::format(path, format!("is not UTF-8 at byte {at}{place}, expected text"))
}

/// The file on its way to the disk.
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
            // The header's place; the number of ids is known at the end, when a pipe could not go back.
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

/// Version 1.0 of `NumPy`'s format for a row of `n_ids` integers.
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
