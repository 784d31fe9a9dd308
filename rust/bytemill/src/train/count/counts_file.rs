//! Word counts in a file, so that a later run need not read the text again.
//!
//! docs/formats.md lays the file out byte by byte. It says how the text was cut, and is refused where
//! another cut is wanted; a checksum covers all of it.

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
const FIXED_BYTES: u64 = 16 + 4 + 4 + 8 + 8; // magic, version, length of the provenance, words, bytes
const HEAD_BYTES: usize = 20;
const CHECKSUM_BYTES: u64 = 4;
const MAX_PROVENANCE_BYTES: u32 = 1 << 20;

/// How text became words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The split pattern, by name or as a regex; none: documents as they are.
    pub pattern: Option<String>,
    /// What one document was: "documents" or "lines".
    pub feed: String,
}

impl Provenance {
    /// Of text cut by `pattern` and fed by `feed`.
    pub fn new(pattern: Option<&str>, feed: DocumentUnit) -> Self {
        let feed = match feed {
            DocumentUnit::Documents => "documents",
            DocumentUnit::Lines => "lines",
        };
        Self { pattern: pattern.map(str::to_owned), feed: feed.to_owned() }
    }
}

impl WordCounts {
    /// Writes the counts to `path`, which is there whole or not at all.
    pub fn save(&self, path: &Path, provenance: &Provenance) -> Result<()> {
        let mut file = DurableFile::create(path)?;
        let mut out = Checked { inner: BufWriter::with_capacity(1 << 18, &mut file), checksum: 0 };
        self.write(&mut out, provenance).map_err(Error::io(path))??;
        let checksum = out.checksum;
        out.inner.write_all(&checksum.to_le_bytes()).and_then(|()| out.inner.flush()).map_err(Error::io(path))?;
        drop(out);
        file.commit()
    }

    /// Reads what [`Self::save`] wrote; with a `limit`, in about so many bytes of memory.
    ///
    /// Fails when the file is damaged or cut off, and when its text was cut in another way than `wanted`.
    pub fn load(path: &Path, wanted: &Provenance, limit: Option<u64>) -> Result<Self> {
        let file = regular_file::open_seekable(path)?;
        let n_bytes = file.metadata().map_err(Error::io(path))?.len();
        let mut input = Checked { inner: BufReader::with_capacity(1 << 18, file), checksum: 0 };
        let head = Head::read(&mut input, n_bytes).map_err(|fault| fault.of(path))?;
        if head.provenance != *wanted {
            return Err(Error::format(
                path,
                format!("holds counts of {}, wanted {}", told(&head.provenance), told(wanted)),
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
            return Err(Error::format(path, format!("is damaged: its checksum is {found:08x}, it says {stored:08x}")));
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
            if failure.is_ok() { Ok(()) } else { Err(Error::Interrupted) } // the failure is what is told
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

/// What stands before the words.
struct Head {
    provenance: Provenance,
    n_words: u64,
    n_bytes: u64, // of all words
}

impl Head {
    /// Reads it from a file of `file_bytes`, which must be just enough for what it announces.
    fn read(input: &mut impl Read, file_bytes: u64) -> Result<Self, Fault> {
        let mut fixed = [0; FIXED_BYTES as usize];
        if file_bytes < FIXED_BYTES + CHECKSUM_BYTES {
            return Err(Fault::Format(format!("has {file_bytes} bytes, too few for a file of counts")));
        }
        input.read_exact(&mut fixed)?;
        let number = |from: usize| fixed[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let short = |from: usize| fixed[from..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        if !fixed.starts_with(MAGIC) {
            return Err(Fault::Format("is no file of counts, as save_counts writes it".to_owned()));
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
                "has {file_bytes} bytes, which is not what {n_words} words take: cut off?"
            )));
        }
        let mut provenance = vec![0; length as usize];
        input.read_exact(&mut provenance)?;
        let provenance = serde_json::from_slice(&provenance)
            .map_err(|error| Fault::Format(format!("does not tell how the text was cut: {error}")))?;
        Ok(Self { provenance, n_words, n_bytes })
    }
}

/// Reads a word of at most `left` bytes.
fn read_word(input: &mut impl Read, word: &mut Vec<u8>, left: u64) -> Result<Tally, Fault> {
    let mut head = [0; HEAD_BYTES];
    input.read_exact(&mut head)?;
    let number = |from: usize| head[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let length = head.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    if length == 0 || u64::from(length) > left {
        return Err(Fault::Format(format!("is damaged: a word of {length} bytes, with {left} left")));
    }
    word.resize(length as usize, 0);
    input.read_exact(word)?;
    Ok(Tally { count: number(0), first: number(8) })
}

/// Words on their way into memory, or where they do not fit, to disk.
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
        // Both numbers were held against the size of the file.
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

/// A file, and the checksum of what has passed.
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

/// The disk's failure, or the content's.
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

fn told(Provenance { pattern, feed }: &Provenance) -> String {
    let pattern = pattern.as_ref().map_or("no pattern".to_owned(), |pattern| format!("pattern {pattern:?}"));
    format!("{pattern} and feed {feed:?}")
}
