//! A manifest's entries: how documents were laid out, their source files, and the shards.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::header::Split;

/// The settings that, with inputs and tokenizer, determine every token's position.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Tokens of each shard except a split's last.
    pub shard_tokens: u64,
    /// The validation split.
    pub val: Validation,
    /// Random seed for shuffling the documents.
    pub seed: u64,
    /// The field of a JSON row that contains its text.
    pub text_field: String,
}

/// Which documents form the validation split.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// This fraction of the documents, chosen by seed; 0 for none.
    Share(f64),
    /// The first `shard_tokens` tokens, truncated there, as in build-nanogpt.
    FirstShard,
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => write!(f, "{share}"),
            Self::FirstShard => f.write_str("first_shard"),
        }
    }
}

/// A source file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputEntry {
    /// Its name, or its path relative to the given folder.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
}

/// One shard and its two side files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// The split it belongs to.
    pub split: Split,
    /// Its place in the split, from 0.
    pub number: u32,
    /// The `.bin` file's name; the side files' names differ in the ending.
    pub name: String,
    /// Number of tokens.
    pub tokens: u64,
    /// Number of documents that begin in it.
    pub documents: u64,
    /// Size of the `.bin` file in bytes.
    pub bytes: u64,
    /// The largest id.
    pub max_id: u32,
    /// CRC32C of the tokens.
    pub crc32c: u32,
    /// SHA-256 of the `.bin` file.
    pub sha256: String,
    /// CRC32C of the `.idx` file.
    pub index_crc32c: u32,
    /// CRC32C of the `.crc` file.
    pub blocks_crc32c: u32,
}

impl ShardEntry {
    /// Return the name of a shard's `.bin` file.
    pub fn bin_name(split: Split, number: u32) -> String {
        format!("{}_{number:06}.bin", split.name())
    }

    /// Return whether the file at `path` is one of the shard's three files.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        let stem = self.name.trim_end_matches(".bin");
        path.file_stem().is_some_and(|of_path| of_path == stem)
    }

    /// Return the name of the side file with the given ending (`idx` or `crc`).
    pub fn side_name(&self, ending: &str) -> String {
        format!("{}{ending}", self.name.trim_end_matches("bin"))
    }
}
