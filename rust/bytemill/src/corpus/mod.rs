//! Read documents from files: plain text and JSON lines, both also compressed, Parquet, Arrow, and folders of these.
//!
//! | ending | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson` | the text field of one line |
//! | `.txt`, `.md` or any unknown ending | the whole file, as bytes, or the text between separators |
//! | `.parquet`; `.arrow`, `.arrows`, `.feather` | the text field of one row; both Arrow files and streams |
//! | one of the first two plus `.gz` or `.zst` | the same in the unpacked content |
//!
//! JSON lines are read one at a time, so memory grows with the longest line and not with the file. A line of a
//! compressed file may have at most 256 MiB. A compressed, Parquet or Arrow file that unpacks to more than a thousand
//! times its size is refused; each row counts as at least 16 bytes.

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
mod reading;
mod text;
mod zstandard;

use crate::error::Result;
use std::path::Path;

pub use folder::expand;
pub(crate) use jsonl::text_of_line;
pub(crate) use kind::{Content, Kind};
pub use reading::{Place, Reading};
pub(crate) use text::for_each_piece;
pub use text::{for_each_line, for_each_separated};

/// Call `each` with every document of the file at `path`, in order.
///
/// Return an error if the file cannot be read or unpacked, if its kind is not supported, if a line is not a JSON object
/// with the text field (the message gives the line), or if `each` fails.
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
