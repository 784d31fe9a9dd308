//! A manifest's rows: how documents were laid out, what they came from, and the shards.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::header::Split;

/// What decides, beside inputs and tokenizer, which token stands where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Tokens of each shard but a split's last.
    pub shard_tokens: u64,
    /// What is kept apart for validation.
    pub val: Validation,
    /// Keys the shuffle of the documents.
    pub seed: u64,
    /// The field of a JSON row that holds its text.
    pub text_field: String,
}

/// What is kept apart for validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Validation {
    /// This share of the documents, chosen by seed; 0 for none.
    Share(f64),
    /// The first `shard_tokens` tokens, cut where they end, as build-nanogpt does.
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

/// A file that text was read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputEntry {
    /// Its name, or its path within the folder that was given.
    pub name: String,
    /// Its size.
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
    /// Tokens in it.
    pub tokens: u64,
    /// Documents that begin in it.
    pub documents: u64,
    /// Size of the `.bin` file.
    pub bytes: u64,
    /// The largest id in it.
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
    /// The name of the `.bin` file of a shard.
    pub fn bin_name(split: Split, number: u32) -> String {
        format!("{}_{number:06}.bin", split.name())
    }

    /// Whether the file at `path` is one of the shard's three.
    pub(crate) fn owns(&self, path: &Path) -> bool {
        let stem = self.name.trim_end_matches(".bin");
        path.file_stem().is_some_and(|of_path| of_path == stem)
    }

    /// Name of the side file with the given ending (`idx` or `crc`).
    pub fn side_name(&self, ending: &str) -> String {
        format!("{}{ending}", self.name.trim_end_matches("bin"))
    }
}
