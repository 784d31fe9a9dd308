//! The first pass: every input's hash, and where each document lies.
//!
//! Documents of plain files are read again where they lie. Those of compressed files, of
//! Parquet and of Arrow are unpacked into a spool, for they cannot be read out of order.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::finder::{Document, DocumentFinder, document_bytes};
use super::source::SourceFile;
use super::spool::Spool;
use super::{Progress, Stage};
use crate::corpus::{Content, Reading, for_each_document, for_each_piece, text_of_line};
use crate::error::{Error, Result};
use crate::shard::InputEntry;
use crate::shard::checksum::hex;

const PIECE_BYTES: usize = 1 << 20;
/// Inputs that stay open for the second pass; of more, each is opened when it is read.
const MAX_OPEN_FILES: usize = 256;

/// The inputs and their documents.
#[derive(Debug)]
pub(super) struct Corpus {
    inputs: Vec<Input>,
    documents: Vec<Document>,
    spool: Spool,
    text_field: String,
}

#[derive(Debug)]
struct Input {
    source: SourceFile,
    bytes: u64,
    modified: Option<SystemTime>,
    sha256: String,
    open: Option<File>,
}

/// Some bytes of a document: of a text as it lies, of a row as it is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) document: u64,
    pub(super) bytes: Range<u64>,
}

impl Corpus {
    /// Reads all of `files` once.
    pub(super) fn scan(
        files: Vec<SourceFile>,
        text_field: &str,
        out_dir: &Path,
        progress: &mut impl FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Self> {
        let (inputs, documents, text_field) = (Vec::new(), Vec::new(), text_field.to_owned());
        let mut corpus = Self { inputs, documents, spool: Spool::new(out_dir), text_field };
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
        let mut file = File::open(&source.path).map_err(failed)?;
        let modified = file.metadata().map_err(failed)?.modified().ok();
        let mut hash = Sha256::new();
        let mut bytes = 0;
        let mut finder = DocumentFinder::new(source.kind.content, self.inputs.len() as u32);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let n = file.read(&mut piece).map_err(failed)?;
            if n == 0 {
                break;
            }
            hash.update(&piece[..n]);
            bytes += n as u64;
            if source.kind.is_plain() {
                finder.take(&piece[..n], &source.path, &mut self.documents)?;
            }
            report(n as u64, self.documents.len() as u64)?;
        }
        if source.kind.is_plain() {
            finder.end(&source.path, &mut self.documents)?;
        } else {
            self.unpack(&source, report)?;
        }
        let open = (source.kind.is_plain() && self.inputs.len() < MAX_OPEN_FILES).then_some(file);
        self.inputs.push(Input { source, bytes, modified, sha256: hex(&hash.finalize()), open });
        Ok(())
    }

    /// Brings the documents of an input that is not plain into the spool.
    fn unpack(&mut self, source: &SourceFile, report: &mut impl FnMut(u64, u64) -> Result<()>) -> Result<()> {
        let Self { documents, spool, text_field, inputs } = self;
        let input = inputs.len() as u32;
        let (start, n_before) = (spool.len(), documents.len() as u64);
        let mut end = |spool: &Spool, start| -> Result<u64> {
            let bytes = document_bytes(&source.path, start, spool.len())?;
            documents.push(Document { offset: start, bytes, input });
            Ok(documents.len() as u64)
        };
        match source.kind.content {
            Content::Text => {
                for_each_piece(
                    &source.path,
                    |text| Ok(Some(text.len())),
                    |text| {
                        spool.add(text)?;
                        report(0, n_before)
                    },
                )?;
                if spool.len() > start {
                    end(spool, start)?;
                }
            }
            Content::JsonLines | Content::Parquet | Content::Arrow => {
                for_each_document(&source.path, Reading { text_field, separator: None }, |_, text| {
                    let start = spool.len();
                    spool.add(text)?;
                    let n_documents = end(spool, start)?;
                    report(0, n_documents)
                })?;
            }
        }
        spool.flush()
    }

    pub(super) fn n_documents(&self) -> u64 {
        self.documents.len() as u64
    }

    /// Bytes to read in the second pass.
    pub(super) fn total_bytes(&self) -> u64 {
        let plain = self.inputs.iter().filter(|input| input.source.kind.is_plain());
        plain.map(|input| input.bytes).sum::<u64>() + self.spool.len()
    }

    /// Bytes of memory that knowing the documents takes.
    pub(super) fn index_bytes(&self) -> u64 {
        (self.documents.capacity() * size_of::<Document>()) as u64
    }

    /// The whole of a document, as long as it is in its input.
    pub(super) fn span(&self, document: u64) -> Span {
        Span { document, bytes: 0..self.documents[document as usize].bytes.into() }
    }

    /// Whether a document's bytes are its text: a part of it can be read alone.
    pub(super) fn is_text(&self, document: u64) -> bool {
        let kind = self.inputs[self.documents[document as usize].input as usize].source.kind;
        !kind.is_plain() || kind.content == Content::Text
    }

    /// Bytes of the largest document that has to be encoded as a whole: of all, or of those that are rows.
    pub(super) fn largest_whole(&self, texts_are_cut: bool) -> u64 {
        let whole = (0..self.n_documents()).filter(|&document| !(texts_are_cut && self.is_text(document)));
        whole.map(|document| self.span(document).bytes.end).max().unwrap_or(0)
    }

    /// The manifest's rows.
    pub(super) fn entries(&self) -> Vec<InputEntry> {
        let entry = |input: &Input| {
            let (name, bytes, sha256) = (input.source.name.clone(), input.bytes, input.sha256.clone());
            InputEntry { name, bytes, sha256 }
        };
        self.inputs.iter().map(entry).collect()
    }

    /// The text of a span, read into `buffer`.
    pub(super) fn read<'b>(&self, span: &Span, buffer: &'b mut Vec<u8>) -> Result<Cow<'b, [u8]>> {
        let document = self.documents[span.document as usize];
        let input = &self.inputs[document.input as usize];
        let wanted = if self.is_text(span.document) { span.bytes.clone() } else { 0..document.bytes.into() };
        buffer.resize((wanted.end - wanted.start) as usize, 0);
        let offset = document.offset + wanted.start;
        if !input.source.kind.is_plain() {
            self.spool.read(offset, buffer)?;
            return Ok(Cow::Borrowed(buffer));
        }
        let read = match &input.open {
            Some(file) => file.read_exact_at(buffer, offset),
            None => File::open(&input.source.path).and_then(|file| file.read_exact_at(buffer, offset)),
        };
        read.map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => changed(&input.source.path),
            _ => Error::io(&input.source.path)(error),
        })?;
        match input.source.kind.content {
            Content::Text | Content::Parquet | Content::Arrow => Ok(Cow::Borrowed(buffer)),
            Content::JsonLines => {
                let text = text_of_line(buffer, &self.text_field)
                    .map_err(|reason| self.at_document(span.document, &reason))?;
                Ok(part_of(text, &span.bytes))
            }
        }
    }

    /// A fault of the document's text, with its place.
    pub(super) fn at_document(&self, number: u64, reason: &impl ToString) -> Error {
        let (path, place) = self.path_and_place(number);
        Error::format(path, format!("{place}: {}", reason.to_string()))
    }

    /// Where a document is in the inputs.
    pub(super) fn place(&self, number: u64) -> String {
        let (path, place) = self.path_and_place(number);
        format!("{}, {place}", path.display())
    }

    fn path_and_place(&self, number: u64) -> (&Path, String) {
        let document = self.documents[number as usize];
        let source = &self.inputs[document.input as usize].source;
        let path = &*source.path;
        if !source.kind.is_plain() {
            let first = self.documents.partition_point(|other| other.input < document.input) as u64;
            return (path, format!("document {}", number - first + 1));
        }
        let line = line_at(path, document.offset).map_or(String::new(), |line| format!("line {line}, "));
        (path, format!("{line}byte {}", document.offset))
    }

    /// Refuses inputs that are not what was hashed.
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

/// A range that may go beyond the text, for a row is longer than what is decoded from it.
fn part_of<'t>(text: Cow<'t, [u8]>, bytes: &Range<u64>) -> Cow<'t, [u8]> {
    let (start, end) = ((bytes.start as usize).min(text.len()), (bytes.end as usize).min(text.len()));
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_vec()),
    }
}

fn changed(path: &Path) -> Error {
    Error::format(path, "changed while it was being prepared; run again")
}

/// The number of the line at `offset`, from 1.
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
