//! Documents from files: plain text, lines of JSON, and folders of both.
//!
//! | ending | a document is |
//! |---|---|
//! | `.jsonl`, `.ndjson` | the text field of one line |
//! | `.txt`, `.md` or none known | the whole file, as bytes |
//!
//! JSON lines are read one by one, so that memory follows the longest line and not the file.

mod folder;
mod jsonl;
mod text;

use crate::error::{Error, Result};
use std::path::Path;

pub use folder::expand;
pub use text::{for_each_line, for_each_separated};

/// Where in its file a document begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before the document, or before its line.
    pub offset: u64,
    /// The number of the line in which it begins; the first is 1.
    pub line: u64,
}

/// Calls `each` with every document of the file at `path`, in order.
///
/// `text_field` names the field of a JSON line that holds the text; other files have none. Fails
/// when the file cannot be read, when it is of a kind that is not supported, when a line is not a
/// JSON object with that field (the message names the line), and when `each` does.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("two.jsonl");
/// std::fs::write(&path, "{\"text\": \"one\"}\n{\"text\": \"two\"}\n")?;
/// let mut documents = Vec::new();
/// bytemill::corpus::for_each_document(&path, "text", |place, text| {
///     documents.push((place.line, text.to_vec()));
///     Ok(())
/// })?;
/// assert_eq!(documents, [(1, b"one".to_vec()), (2, b"two".to_vec())]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn for_each_document(path: &Path, text_field: &str, each: impl FnMut(Place, &[u8]) -> Result<()>) -> Result<()> {
    match Kind::of(path)? {
        Kind::Text => text::for_whole(path, each),
        Kind::JsonLines => jsonl::for_each(path, text_field, each),
    }
}

/// Whether the file at `path` is read as plain text, going by its ending.
pub fn is_text(path: &Path) -> bool {
    matches!(Kind::of(path), Ok(Kind::Text))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    JsonLines,
}

impl Kind {
    fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        match ending.as_deref() {
            Some("jsonl" | "ndjson") => Ok(Self::JsonLines),
            Some(ending @ ("gz" | "zst" | "bz2" | "xz" | "zip" | "tar" | "parquet" | "arrow" | "bin" | "npy")) => {
                let reason = format!("cannot read .{ending} files; supported are plain text (.txt) and .jsonl");
                Err(Error::format(path, reason))
            }
            _ => Ok(Self::Text),
        }
    }
}

#[cfg(test)]
mod tests;
