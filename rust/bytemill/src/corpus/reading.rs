//! How documents are read, and where each begins in its file.

use crate::error::Error;
use std::path::Path;

/// Where a document begins in its unpacked file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before the document, or before its line.
    pub offset: u64,
    /// The number of its first line, or of its row; the first is 1.
    pub line: u64,
}

/// How a file is divided into documents, if the file alone does not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The field of a JSON line, or the column of a Parquet or Arrow file, that holds the text.
    pub text_field: &'a str,
    /// The separator between documents of a text file, such as `<|endoftext|>`; it belongs to no document.
    pub separator: Option<&'a [u8]>,
    /// Memory limit in bytes; data that must be in memory as a whole may take a quarter of it.
    pub max_memory: Option<u64>,
}

impl Reading<'_> {
    /// Return the maximum size of data that cannot be read in parts: a row, a record batch, a text without a place to
    /// split.
    pub(crate) fn most_at_once(self) -> u64 {
        self.max_memory.map_or(u64::MAX, |limit| limit / 4)
    }

    /// Return the error for `what` in the file at `path`, when `n_bytes` of it have been read.
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
