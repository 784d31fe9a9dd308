//! How documents are read, and where in its file each begins.

use crate::error::Error;
use std::path::Path;

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
