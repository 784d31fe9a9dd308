//! What a file holds, told by its name.

use crate::error::{Error, Result};
use std::path::Path;

/// How a file's bytes become documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What they are compressed with.
    pub(crate) packing: Option<Packing>,
    /// What is inside.
    pub(crate) content: Content,
}

/// A way to compress one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    /// `.gz`
    Gzip,
    /// `.zst`
    Zstandard,
}

/// What documents are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Bytes as they are.
    Text,
    /// A JSON object a line.
    JsonLines,
    /// A row of a Parquet file each.
    Parquet,
    /// A row of an Arrow file or stream each.
    Arrow,
}

impl Kind {
    /// The kind of the file at `path`; fails for those that are known and not text.
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
                    "cannot read .{ending} files{}; supported are .parquet, .arrow, plain text (.txt) and .jsonl, \
                     these two also as .gz and .zst",
                    if packing.is_some() { " that are compressed" } else { "" }
                );
                return Err(Error::format(path, reason));
            }
            _ => Content::Text,
        };
        Ok(Self { packing, content })
    }

    /// Whether the file holds its documents as plain bytes, so that each can be read by its offset.
    pub(crate) fn is_plain(self) -> bool {
        self.packing.is_none() && !matches!(self.content, Content::Parquet | Content::Arrow)
    }
}
