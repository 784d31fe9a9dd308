//! Documents from files: plain text, lines of JSON, either of them compressed, Parquet, Arrow, and
//! folders of all.
//!
//! | ending | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson` | the text field of one line |
//! | `.txt`, `.md` or none known | the whole file, as bytes, or what stands between separators |
//! | `.parquet`; `.arrow`, `.arrows`, `.feather` | the text field of one row; Arrow's files and streams alike |
//! | one of the first two and `.gz` or `.zst` | the same of the unpacked content |
//!
//! JSON lines are read one by one, so that memory follows the longest line and not the file; a line of a compressed
//! file may have 256 MiB. A compressed file, or one of Parquet or Arrow, that grows more than a thousandfold is refused,
//! each row counted as at least 16 bytes.

mod arrow;
mod arrow_messages;
mod folder;
mod foreign;
mod jsonl;
mod kind;
mod open;
mod parquet;
mod parquet_file;
mod parquet_pages;
mod text;
mod zstandard;

use crate::error::{Error, Result};
use std::path::Path;

pub use folder::expand;
pub(crate) use jsonl::text_of_line;
pub(crate) use kind::{Content, Kind};
pub(crate) use text::for_each_piece;
pub use text::{for_each_line, for_each_separated};

/// Where in its file, unpacked, a document begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before the document, or before its line.
    pub offset: u64,
    /// The number of the line in which it begins, or of its row; the first is 1.
    pub line: u64,
}

/// What makes a document, where the file alone does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The field of a JSON line, or the column of a Parquet or Arrow file, that holds the text.
    pub text_field: &'a str,
    /// What stands between the documents of a text file, such as `<|endoftext|>`; it belongs to none.
    pub separator: Option<&'a [u8]>,
    /// Bytes of memory that the caller may take; what has to be held at once may take a quarter of them.
    pub max_memory: Option<u64>,
}

impl Reading<'_> {
    /// Bytes that may be held of what cannot be read in parts: a row, a record batch, a text without a place to cut.
    pub(crate) fn most_at_once(self) -> u64 {
        self.max_memory.map_or(u64::MAX, |limit| limit / 4)
    }

    /// The refusal of `what` in the file at `path`, of which `n_bytes` have been seen.
    pub(crate) fn too_large(self, path: &Path, what: &str, n_bytes: u64) -> Error {
        match self.max_memory {
            Some(limit) => Error::Argument {
                name: "max_memory",
                got: limit.to_string(),
                expected: format!(
                    "at least {}: {} has {what} of {n_bytes} bytes or more; or split it",
                    4 * n_bytes,
                    path.display()
                ),
            },
            None => Error::format(path, format!("has {what} of {n_bytes} bytes or more; split it, or set max_memory")),
        }
    }
}

impl Default for Reading<'_> {
    fn default() -> Self {
        Self { text_field: "text", separator: None, max_memory: None }
    }
}

/// Calls `each` with every document of the file at `path`, in order.
///
/// Fails when the file cannot be read or unpacked, when it is of a kind that is not supported, when
/// a line is not a JSON object with the text field (the message names the line), and when `each` does.
///
/// ```
/// use bytemill::corpus::{Reading, for_each_document};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("two.jsonl");
/// std::fs::write(&path, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n")?;
/// let mut documents = Vec::new();
/// for_each_document(&path, Reading::default(), |place, text| {
///     documents.push((place.line, text.to_vec()));
///     Ok(())
/// })?;
/// assert_eq!(documents, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn for_each_document(path: &Path, reading: Reading, each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    match (Kind::of(path)?.content, reading.separator) {
        (Content::Text, None) => text::for_whole(path, each),
        (Content::Text, Some(separator)) => for_each_separated(path, separator, each),
        (Content::JsonLines, _) => jsonl::for_each(path, reading, each),
        (Content::Arrow, _) => arrow::for_each(path, reading, each),
        (Content::Parquet, _) => parquet::for_each(path, reading, each),
    }
}

#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
