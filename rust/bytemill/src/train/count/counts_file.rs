//! Word counts in a file, so that a later run does not need to read the text again.
//!
//! docs/formats.md specifies the file byte by byte. The file records how the text was split and is refused if another
//! split is requested. A checksum covers the whole file.

use super::document_unit::DocumentUnit;
use super::runs::{Order, Sorter};
use super::tally::Tally;
use super::word_counts::{Store, Word, WordCounts};
use crate::durable::DurableFile;
use crate::error::{Error, Result};
use crate::regular_file;
use serde::{Deserialize, Serialize};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

const MAGIC: &[u8; 16] = b"bytemill counts\n";
const VERSION: u32 = 1;
const FIXED_BYTES: u64 = 16 + 4 + 4 + 8 + 8; // magic, version, provenance length, words, bytes
const HEAD_BYTES: usize = 20;
const CHECKSUM_BYTES: u64 = 4;
const MAX_PROVENANCE_BYTES: u32 = 1 << 20;

/// How text was split into words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The split pattern, by name or as a regex; `None` for whole documents.
    pub pattern: Option<String>,
    /// What one document was: "documents" or "lines".
    pub feed: String,
}

impl Provenance {
    /// Describe text split by `pattern` with documents given by `feed`.
    pub fn new(pattern: Option<&str>, feed: DocumentUnit) -> Self {
        let feed = match feed {
            DocumentUnit::Documents => "documents",
            DocumentUnit::Lines => "lines",
        };
        Self { pattern: pattern.map(str::to_owned), feed: feed.to_owned() }
    }
}

impl WordCounts {
    /// Write the counts to `path` atomically.
    pub fn save(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let mut file = DurableFile::create(path)?;
        let mut out = Checked { inner: BufWriter::with_capacity(1 << 18, &mut file), checksum: 0 };
        self.write(&mut out, provenance).map_err(Error::io(path))??;
        let checksum = out.checksum;
        out.inner.write_all(&checksum.to_le_bytes()).and_then(|()| out.inner.flush()).map_err(Error::io(path))?;
        drop(out);
        file.commit()
    }

    /// Read a file written by [`Self::save`]; with a `limit`, use about that many bytes of memory.
    ///
    /// Return an error if the file is damaged or truncated, or if its text was not split as `wanted`.
    pub fn load(path: &Path, wanted: &Provenance, limit: Option<u64>) -> Result<Self> {
        let file = regular_file::open_seekable(path)?;
        let n_bytes = file.metadata().map_err(Error::io(path))?.len();
        let mut input = Checked { inner: BufReader::with_capacity(1 << 18, file), checksum: 0 };
        let head = Head::read(&mut input, n_bytes).map_err(|fault| fault.of(path))?;
        if head.provenance != *wanted {
            return Err(Error::format(
                path,
                format!("holds counts of {}, expected {}", described(&head.provenance), described(wanted)),
            ));
        }
        let limit = limit.map_or(usize::MAX, |limit| limit as usize);
        let mut words = Gathered::new(&head, limit)?;
        let mut last: Option<Tally> = None;
        let mut word = Vec::new();
        let mut left = head.n_bytes;
        for _ in 0..head.n_words {
            let tally = read_word(&mut input, &mut word, left).map_err(|fault| fault.of(path))?;
            if tally.count == 0 || last.is_some_and(|last| Order::Frequency.compare((&[], last), (&[], tally)).is_gt())
            {
                return Err(Error::format(path, "words are not sorted by frequency"));
            }
            left -= word.len() as u64;
            last = Some(tally);
            words.push(&word, tally)?;
        }
        let found = input.checksum;
        let mut stored = [0; 4];
        input.inner.read_exact(&mut stored).map_err(Error::io(path))?;
        if left > 0 || u32::from_le_bytes(stored) != found {
            let stored = u32::from_le_bytes(stored);
            return Err(Error::format(
                path,
                format!("is damaged: its checksum is {found:08x}, the stored one is {stored:08x}"),
            ));
        }
        words.finish(&head)
    }

    fn write(&self, out: &mut impl Write, provenance: &Provenance) -> io::Result<Result<()>> {
        let provenance = serde_json::to_vec(provenance)?;
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&(provenance.len() as u32).to_le_bytes())?;
        out.write_all(&(self.len() as u64).to_le_bytes())?;
        out.write_all(&(self.n_bytes() as u64).to_le_bytes())?;
        out.write_all(&provenance)?;
        let mut failure = Ok(());
        let handed_over = self.for_each_by(Order::Frequency, super::word_counts::SORT_BYTES, |word, tally| {
            failure = write_word(out, word, tally);
            if failure.is_ok() { Ok(()) } else { Err(Error::Interrupted) } // `failure` is the error to report
        });
        failure.map(|()| handed_over)
    }
}

fn write_word(out: &mut impl Write, word: &[u8], tally: Tally) -> io::Result<()> {
    let length = u32::try_from(word.len()).map_err(|_| io::Error::other("a pretoken of 4 GiB or more"))?;
    out.write_all(&tally.count.to_le_bytes())?;
    out.write_all(&tally.first.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(word)
}

/// The header before the words.
struct Head {
    provenance: Provenance,
    n_words: u64,
    n_bytes: u64, // total length of all words
}

impl Head {
    /// Read the header from a file of `file_bytes`, which must match the sizes in the header exactly.
    fn read(input: &mut impl Read, file_bytes: u64) -> Result<Self, Fault> {
        let mut fixed = [0; FIXED_BYTES as usize];
        if file_bytes < FIXED_BYTES + CHECKSUM_BYTES {
            return Err(Fault::Format(format!("has {file_bytes} bytes, too few for a file of counts")));
        }
        input.read_exact(&mut fixed)?;
        let number = |from: usize| fixed[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let short = |from: usize| fixed[from..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if !fixed.starts_with(MAGIC) {
            return Err(Fault::Format("is not a file of counts written by save_counts".to_owned()));
        }
        let (version, length) = (short(16), short(20));
        if version != VERSION {
            return Err(Fault::Format(format!("has version {version}, expected {VERSION}")));
        }
        let (n_words, n_bytes) = (number(24), number(32));
        let head_bytes = (HEAD_BYTES as u64).checked_mul(n_words);
        let due = head_bytes.and_then(|heads| heads.checked_add(n_bytes)?.checked_add(length.into()));
        if length > MAX_PROVENANCE_BYTES || due != Some(file_bytes - FIXED_BYTES - CHECKSUM_BYTES) {
            return Err(Fault::Format(format!(
                "has {file_bytes} bytes, which does not match its {n_words} words: is it truncated?"
            )));
        }
        let mut provenance = vec![0; length as usize];
        input.read_exact(&mut provenance)?;
        let provenance = serde_json::from_slice(&provenance)
            .map_err(|error| Fault::Format(format!("does not say how the text was split: {error}")))?;
        Ok(Self { provenance, n_words, n_bytes })
    }
}

/// Read a word of at most `left` bytes.
fn read_word(input: &mut impl Read, word: &mut Vec<u8>, left: u64) -> Result<Tally, Fault> {
    let mut head = [0; HEAD_BYTES];
    input.read_exact(&mut head)?;
    let number = |from: usize| head[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let length = head.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if length == 0 || u64::from(length) > left {
        return Err(Fault::Format(format!("is damaged: a word has {length} bytes, but only {left} are left")));
    }
    word.resize(length as usize, 0);
    input.read_exact(word)?;
    Ok(Tally { count: number(0), first: number(8) })
}

/// Collects words in memory, or on disk if they do not fit.
enum Gathered {
    Memory { bytes: Vec<u8>, words: Vec<Word> },
    Disk(Sorter),
}

impl Gathered {
    fn new(head: &Head, limit: usize) -> Result<Self> {
        let memory = head.n_bytes.saturating_add(head.n_words.saturating_mul(size_of::<Word>() as u64));
        if limit != usize::MAX && memory > limit as u64 / 4 {
            return Ok(Self::Disk(Sorter::new(Order::Frequency, limit / 2)?));
        }
        // Both numbers were checked against the size of the file.
        let (bytes, words) = (Vec::with_capacity(head.n_bytes as usize), Vec::with_capacity(head.n_words as usize));
        Ok(Self::Memory { bytes, words })
    }

    fn push(&mut self, word: &[u8], tally: Tally) -> Result<()> {
        match self {
            Self::Disk(sorter) => sorter.push(word, tally),
            Self::Memory { bytes, words } => {
                bytes.extend_from_slice(word);
                words.push(Word { end: bytes.len(), tally });
                Ok(())
            }
        }
    }

    fn finish(self, head: &Head) -> Result<WordCounts> {
        let store = match self {
            Self::Memory { bytes, words } => Store::Memory { bytes, words },
            Self::Disk(sorter) => Store::Disk(sorter.finish()?),
        };
        Ok(WordCounts::stored(head.n_words as usize, head.n_bytes as usize, store))
    }
}

/// A file, with the checksum of the bytes read or written so far.
struct Checked<F> {
    inner: F,
    checksum: u32,
}

impl<F: Write> Write for Checked<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<F: Read> Read for Checked<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.checksum = crc32c::crc32c_append(self.checksum, &buffer[..n]);
        Ok(n)
    }
}

/// An error of the disk or of the content.
enum Fault {
    Io(io::Error),
    Format(String),
}

impl Fault {
    fn of(self, path: &Path) -> Error {
        match self {
            Self::Io(error) => Error::io(path)(error),
            Self::Format(reason) => Error::format(path, reason),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn described(Provenance { pattern, feed }: &Provenance) -> String {
    let pattern = pattern.as_ref().map_or("no pattern".to_owned(), |pattern| format!("pattern {pattern:?}"));
    format!("{pattern} and feed {feed:?}")
}
