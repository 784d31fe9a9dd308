//! The kind of a file, from its name.

use crate::error::{Error, Result};
use std::path::Path;

/// How a file's bytes become documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The compression, if any.
    pub(crate) packing: Option<Packing>,
    /// The content after unpacking.
    pub(crate) content: Content,
}

/// A compression format for one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
}

/// How a file stores its documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Plain bytes.
    Text,
    /// One JSON object per line.
    JsonLines,
    /// One row of a Parquet file per document.
    Parquet,
    /// One row of an Arrow file or stream per document.
    Arrow,
}

impl Kind {
    /// Return the kind of the file at `path`. Return an error for known formats that are not text.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let (packing, name) = if let Some(inner) = name.strip_suffix(".gz") {
            (Some(Packing::Gzip), inner)
        } else if let Some(inner) = name.strip_suffix(".zst") {
            (Some(Packing::Zstandard), inner)
        } else {
            (None, &*name)
        };
        let content = match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("jsonl" | "ndjson") => Content::JsonLines,
            Some("parquet") if packing.is_none() => Content::Parquet,
            Some("arrow" | "arrows" | "feather") if packing.is_none() => Content::Arrow,
            Some(
                ending @ ("gz" | "zst" | "bz2" | "xz" | "zip" | "tar" | "parquet" | "arrow" | "arrows" | "feather"
                | "bin" | "npy"),
            ) => {
                let reason = format!(
                    "cannot read .{ending} files{}; supported: .parquet, .arrow, plain text (.txt) and .jsonl, \
                     the last two also as .gz and .zst",
                    if packing.is_some() { " that are compressed" } else { "" }
                );
                return Err(Error::format(path, reason));
            }
            _ => Content::Text,
        };
        Ok(Self { packing, content })
    }

    /// Return whether the file stores its documents as plain bytes, so that each can be read by its offset.
    pub(crate) fn is_plain(self) -> bool {
        self.packing.is_none() && !matches!(self.content, Content::Parquet | Content::Arrow)
    }
}
