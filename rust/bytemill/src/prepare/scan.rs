//! The first pass: every input's hash, and the place of each document.
//!
//! Documents of plain files are read again from their places. Documents of compressed, Parquet and Arrow files are
//! unpacked into a spool, because these files cannot be read out of order.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read, Seek};
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::budget::{Budget, Found};
use super::finder::{Document, DocumentFinder, MAX_INPUTS, document_bytes};
use super::progress::{Progress, Stage};
use super::source::SourceFile;
use super::spool::Spool;
use crate::corpus::{Content, Reading, for_each_document, for_each_piece, text_of_line};
use crate::error::{Error, Result};
use crate::platform;
use crate::regular_file;
use crate::shard::InputEntry;
use crate::shard::checksum::hex;

const PIECE_BYTES: usize = 1 << 20;
/// Maximum number of inputs kept open for the second pass; each further file is opened for each read.
const MAX_OPEN_FILES: usize = 256;

/// The inputs and their documents.
#[derive(Debug)]
pub(super) struct Corpus {
    inputs: Vec<Input>,
    documents: Vec<Document>,
    spool: Spool,
    text_field: String,
    budget: Budget,
    found: Found,
}

#[derive(Debug)]
struct Input {
    source: SourceFile,
    bytes: u64,
    modified: Option<SystemTime>,
    sha256: String,
    open: Option<File>,
}

/// A range of a document's bytes: of the raw text, or of a row's decoded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) document: u64,
    pub(super) bytes: Range<u64>,
}

impl Corpus {
    /// Read all of `files` once.
    pub(super) fn scan(
        files: Vec<SourceFile>,
        text_field: &str,
        out_dir: &Path,
        budget: Budget,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self> {
        if files.len() as u64 > MAX_INPUTS {
            let expected = format!("at most {MAX_INPUTS}: join them");
            return Err(Error::Argument { name: "sources", got: format!("{} files", files.len()), expected });
        }
        let (inputs, documents, text_field) = (Vec::new(), Vec::new(), text_field.to_owned());
        let (spool, found) = (Spool::new(out_dir), Found::default());
        let mut corpus = Self { inputs, documents, spool, text_field, budget, found };
        let sizes = files.iter().map(|file| file.path.metadata().map_err(Error::io(&file.path)).map(|data| data.len()));
        let total_bytes = sizes.sum::<Result<u64>>()?;
        let mut bytes = 0;
        for source in files {
            let mut report = |piece_bytes, documents| {
                bytes += piece_bytes;
                let now = Progress { stage: Stage::Scan, bytes, total_bytes, documents, tokens: 0 };
                if progress(&now).is_break() { Err(Error::Interrupted) } else { Ok(()) }
            };
            corpus.scan_file(source, &mut report)?;
        }
        if corpus.documents.is_empty() {
            let files = corpus.inputs.iter().map(|input| input.source.name.clone()).collect();
            return Err(Error::EmptyCorpus { files, n_bytes: total_bytes });
        }
        Ok(corpus)
    }

    fn scan_file(&mut self, source: SourceFile, report: &mut impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let failed = |error| Error::io(&source.path)(error);
        let mut file = regular_file::open_seekable(&source.path)?;
        let data = file.metadata().map_err(failed)?;
        let mut finder = DocumentFinder::new(source.kind.content, self.inputs.len() as u32);
        let is_whole = !(self.budget.cuts && source.kind.content == Content::Text);
        if source.kind.is_plain() && is_whole && source.kind.content == Content::Text {
            self.check(data.len())?;
        }
        let (bytes, sha256) = hash(&mut file, &source.path, |piece| {
            if source.kind.is_plain() {
                finder.take(piece, &source.path, &mut |document| self.add(document, is_whole))?;
                self.check(if is_whole { finder.bytes_so_far() } else { 0 })?;
            }
            report(piece.len() as u64, self.documents.len() as u64)
        })?;
        if source.kind.is_plain() {
            finder.end(&source.path, &mut |document| self.add(document, is_whole))?;
        } else {
            self.unpack(&source, report)?;
            // The file was read once for its hash and once for unpacking.
            file.rewind().map_err(failed)?;
            if hash(&mut file, &source.path, |_| report(0, self.n_documents()))? != (bytes, sha256.clone()) {
                return Err(changed(&source.path));
            }
        }
        let open = (source.kind.is_plain() && self.inputs.len() < MAX_OPEN_FILES).then_some(file);
        self.inputs.push(Input { source, bytes, modified: data.modified().ok(), sha256, open });
        Ok(())
    }

    /// Add a document; return an error if it needs too much memory.
    fn add(&mut self, document: Document, is_whole: bool) -> Result<()> {
        self.documents.push(document);
        self.found.n_documents += 1;
        if is_whole {
            self.found.largest_whole = self.found.largest_whole.max(document.bytes());
        }
        self.check(0)
    }

    /// Return an error if memory is too small for the documents found and a document of at least `whole` bytes.
    fn check(&self, whole: u64) -> Result<()> {
        self.budget.check(Found { largest_whole: self.found.largest_whole.max(whole), ..self.found })
    }

    /// Unpack the documents of an input that is not plain into the spool.
    fn unpack(&mut self, source: &SourceFile, report: &mut impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let (input, is_whole) = (self.inputs.len() as u32, !self.budget.cuts);
        let text_field = self.text_field.clone();
        let reading = Reading { text_field: &text_field, separator: None, max_memory: self.budget.max_memory() };
        if source.kind.content == Content::Text {
            let (start, mut crc32c) = (self.spool.len(), 0);
            let all = |text: &[u8]| Ok(Some(text.len()));
            for_each_piece(&source.path, reading, all, |piece| {
                crc32c = crc32c::crc32c_append(crc32c, piece.text);
                self.spool.add(piece.text)?;
                self.check(if is_whole { self.spool.len() - start } else { 0 })?;
                report(0, self.n_documents())
            })?;
            if self.spool.len() > start {
                let bytes = document_bytes(&source.path, start, self.spool.len())?;
                self.add(Document::new(input, start, bytes, crc32c), is_whole)?;
            }
        } else {
            for_each_document(&source.path, reading, |_, text| {
                let bytes = document_bytes(&source.path, 0, text.len() as u64)?;
                let document = Document::new(input, self.spool.len(), bytes, crc32c::crc32c(text));
                self.spool.add(text)?;
                self.add(document, is_whole)?;
                report(0, self.n_documents())
            })?;
        }
        self.spool.flush()
    }

    pub(super) fn n_documents(&self) -> u64 {
        self.documents.len() as u64
    }

    /// Return the number of bytes to read in the second pass.
    pub(super) fn total_bytes(&self) -> u64 {
        let plain = self.inputs.iter().filter(|input| input.source.kind.is_plain());
        plain.map(|input| input.bytes).sum::<u64>() + self.spool.len()
    }

    /// Return the requirements of the documents.
    pub(super) fn found(&self) -> Found {
        self.found
    }

    /// Return the whole range of a document, with its length in its input.
    pub(super) fn span(&self, document: u64) -> Span {
        Span { document, bytes: 0..self.documents[document as usize].bytes() }
    }

    /// Return whether a document's bytes are its text, so that a part of it can be read alone.
    pub(super) fn is_text(&self, document: u64) -> bool {
        let kind = self.inputs[self.documents[document as usize].input() as usize].source.kind;
        !kind.is_plain() || kind.content == Content::Text
    }

    /// Return the entries for the manifest.
    pub(super) fn entries(&self) -> Vec<InputEntry> {
        let entry = |input: &Input| {
            let (name, bytes, sha256) = (input.source.name.clone(), input.bytes, input.sha256.clone());
            InputEntry { name, bytes, sha256 }
        };
        self.inputs.iter().map(entry).collect()
    }

    /// Return the text of a span, read into `buffer`. A whole document is compared with its checksum.
    pub(super) fn read<'b>(&self, span: &Span, buffer: &'b mut Vec<u8>) -> Result<Cow<'b, [u8]>> {
        let document = self.documents[span.document as usize];
        let input = &self.inputs[document.input() as usize];
        let wanted = if self.is_text(span.document) { span.bytes.clone() } else { 0..document.bytes() };
        buffer.resize((wanted.end - wanted.start) as usize, 0);
        let offset = document.offset() + wanted.start;
        if input.source.kind.is_plain() {
            input.read(offset, buffer)?;
        } else {
            self.spool.read(offset, buffer)?;
        }
        if wanted == (0..document.bytes()) {
            self.check_crc32c(span.document, crc32c::crc32c(buffer))?;
        }
        if self.is_text(span.document) {
            return Ok(Cow::Borrowed(buffer));
        }
        let text = text_of_line(buffer, &self.text_field).map_err(|reason| self.at_document(span.document, &reason))?;
        Ok(part_of(text, &span.bytes))
    }

    /// Return an error if a document's checksum differs from the one of the first pass.
    pub(super) fn check_crc32c(&self, document: u64, crc32c: u32) -> Result<()> {
        let expected = self.documents[document as usize];
        if crc32c == expected.crc32c() {
            return Ok(());
        }
        Err(changed(&self.inputs[expected.input() as usize].source.path))
    }

    /// Return the error for a document's text, with its place.
    pub(super) fn at_document(&self, number: u64, reason: &impl ToString) -> Error {
        let (path, place) = self.path_and_place(number);
        Error::format(path, format!("{place}: {}", reason.to_string()))
    }

    /// Return the place of a document in the inputs.
    pub(super) fn place(&self, number: u64) -> String {
        let (path, place) = self.path_and_place(number);
        format!("{}, {place}", path.display())
    }

    fn path_and_place(&self, number: u64) -> (&Path, String) {
        let document = self.documents[number as usize];
        let source = &self.inputs[document.input() as usize].source;
        let path = &*source.path;
        if !source.kind.is_plain() {
            let first = self.documents.partition_point(|other| other.input() < document.input()) as u64;
            return (path, format!("document {}", number - first + 1));
        }
        let line = line_at(path, document.offset()).map_or(String::new(), |line| format!("line {line}, "));
        (path, format!("{line}byte {}", document.offset()))
    }

    /// Return an error if an input has changed since it was hashed.
    pub(super) fn check_unchanged(&self) -> Result<()> {
        for input in &self.inputs {
            let now = input.source.path.metadata().map_err(Error::io(&input.source.path))?;
            if now.len() != input.bytes || now.modified().ok() != input.modified {
                return Err(changed(&input.source.path));
            }
        }
        Ok(())
    }
}

impl Input {
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = match &self.open {
            Some(file) => platform::read_exact_at(file, buffer, offset),
            None => platform::read_exact_at(&regular_file::open_seekable(&self.source.path)?, buffer, offset),
        };
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => changed(&self.source.path),
            _ => Error::io(&self.source.path)(error),
        })
    }
}

/// Return the size and SHA-256 of a file; call `each` with each piece.
fn hash(file: &mut File, path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<(u64, String)> {
    let (mut hash, mut bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        let n = file.read(&mut piece).map_err(Error::io(path))?;
        if n == 0 {
            return Ok((bytes, hex(&hash.finalize())));
        }
        hash.update(&piece[..n]);
        bytes += n as u64;
        each(&piece[..n])?;
    }
}

/// Return a part of the text. The range may exceed the text, because a row is longer than its decoded text.
fn part_of<'t>(text: Cow<'t, [u8]>, bytes: &Range<u64>) -> Cow<'t, [u8]> {
    let (start, end) = ((bytes.start as usize).min(text.len()), (bytes.end as usize).min(text.len()));
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_vec()),
    }
}

fn changed(path: &Path) -> Error {
    Error::format(path, "changed during preparation; run again")
}

/// Return the number of the line at `offset`, from 1.
fn line_at(path: &Path, offset: u64) -> Option<u64> {
    let mut before = File::open(path).ok()?.take(offset);
    let mut piece = vec![0; PIECE_BYTES];
    let mut line = 1;
    loop {
        match before.read(&mut piece).ok()? {
            0 => return Some(line),
            n => line += memchr::memchr_iter(b'\n', &piece[..n]).count() as u64,
        }
    }
}
