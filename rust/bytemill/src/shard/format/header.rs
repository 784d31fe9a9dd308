//! The 1,024 bytes before a shard's tokens: llm.c's header, with our checks in its unused words.
//!
//! llm.c reads three of 256 little-endian words (magic, version, token count) and ignores the rest. Our fields for
//! detecting damage start at word 8, so one file serves both.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Bytes before the first token.
pub const HEADER_BYTES: usize = 1_024;
/// Maximum tokens in one shard: llm.c stores byte offsets in 32 bits.
pub const MAX_SHARD_TOKENS: u64 = 100_000_000;
/// Maximum ids in a vocabulary: Megatron reads four-byte tokens as `int32`.
pub const MAX_VOCAB: u32 = 1 << 31;

const LLMC_MAGIC: u32 = 20_240_520;
const OUR_MAGIC: u32 = u32::from_le_bytes(*b"BYML");
const OUR_VERSION: u32 = 1;
const NO_END_OF_TEXT: u32 = u32::MAX;

/// The index of each word.
mod word {
    pub(in crate::shard) const MAGIC: usize = 0;
    pub(in crate::shard) const VERSION: usize = 1;
    pub(in crate::shard) const TOKENS: usize = 2;
    pub(super) const OUR_MAGIC: usize = 8;
    pub(super) const OUR_VERSION: usize = 9;
    pub(super) const HEADER_CRC: usize = 10;
    pub(super) const PAYLOAD_CRC: usize = 11;
    pub(super) const END_OF_TEXT: usize = 12;
    pub(super) const DOCUMENTS: usize = 13;
    pub(super) const SHARD_NUMBER: usize = 14;
    pub(super) const SPLIT: usize = 15;
}

/// Width of a token on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenWidth {
    /// Two bytes per token, for vocabularies of at most 65,536 ids.
    Uint16,
    /// Four bytes per token.
    Uint32,
}

impl TokenWidth {
    /// Return the smallest width that holds every id below `n_vocab`.
    pub fn for_vocab(n_vocab: u32) -> Self {
        if n_vocab <= 1 << 16 { Self::Uint16 } else { Self::Uint32 }
    }

    /// Return the number of bytes per token.
    pub fn bytes(self) -> usize {
        match self {
            Self::Uint16 => 2,
            Self::Uint32 => 4,
        }
    }

    /// Return llm.c's version number for files of this width.
    fn llmc_version(self) -> u32 {
        match self {
            Self::Uint16 => 1,
            Self::Uint32 => 7,
        }
    }
}

/// The part of the data that a shard belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Training data.
    Train,
    /// Validation data.
    Val,
}

impl Split {
    /// Return the name in file names and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
        }
    }
}

/// The header of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Width of a token.
    pub width: TokenWidth,
    /// Tokens in the payload, 1 to [`MAX_SHARD_TOKENS`].
    pub n_tokens: u64,
    /// CRC32C of everything after the header.
    pub payload_crc32c: u32,
    /// The id at the start of each document, if there is one.
    pub end_of_text: Option<u32>,
    /// Number of documents that begin in this shard.
    pub n_documents: u64,
    /// The shard's number in its split, from 0.
    pub shard_number: u32,
    /// The split.
    pub split: Split,
}

impl Header {
    /// Return the bytes at the start of the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut words = [0; HEADER_BYTES / 4];
        words[word::MAGIC] = LLMC_MAGIC;
        words[word::VERSION] = self.width.llmc_version();
        words[word::TOKENS] = self.n_tokens as u32;
        words[word::OUR_MAGIC] = OUR_MAGIC;
        words[word::OUR_VERSION] = OUR_VERSION;
        words[word::PAYLOAD_CRC] = self.payload_crc32c;
        words[word::END_OF_TEXT] = self.end_of_text.unwrap_or(NO_END_OF_TEXT);
        words[word::DOCUMENTS] = self.n_documents as u32;
        words[word::SHARD_NUMBER] = self.shard_number;
        words[word::SPLIT] = u32::from(self.split == Split::Val);
        words[word::HEADER_CRC] = crc32c::crc32c(&to_bytes(&words));
        to_bytes(&words)
    }

    /// Read and check the header of the file at `path`; `bytes` is the beginning of the file.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Err(Error::format(path, reason));
        let Some((bytes, _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return refuse(format!("has {} bytes, too few for the header of {HEADER_BYTES}", bytes.len()));
        };
        let mut words = to_words(bytes);
        if words[word::MAGIC] != LLMC_MAGIC {
            return refuse(format!("magic is {} at byte 0, expected {LLMC_MAGIC}: not a token shard", words[0]));
        }
        if words[word::OUR_MAGIC] != OUR_MAGIC {
            return refuse(
                "has no bytemill mark at byte 32: it is an llm.c file without checksums, or damaged".to_owned(),
            );
        }
        if words[word::OUR_VERSION] != OUR_VERSION {
            return refuse(format!(
                "format version is {} at byte 36, expected {OUR_VERSION}",
                words[word::OUR_VERSION]
            ));
        }
        let stored = std::mem::take(&mut words[word::HEADER_CRC]);
        let computed = crc32c::crc32c(&to_bytes(&words));
        if stored != computed {
            return refuse(format!("header checksum is {stored:08x} at byte 40, its bytes give {computed:08x}"));
        }
        Self::from_words(&words).or_else(refuse)
    }

    /// Check the fields after the checksum: here an error comes from the writer, not from the disk.
    fn from_words(words: &[u32; HEADER_BYTES / 4]) -> Result<Self, String> {
        let width = match words[word::VERSION] {
            1 => TokenWidth::Uint16,
            7 => TokenWidth::Uint32,
            other => return Err(format!("llm.c version {other} at byte 4, expected 1 or 7")),
        };
        let n_tokens = u64::from(words[word::TOKENS]);
        if !(1..=MAX_SHARD_TOKENS).contains(&n_tokens) {
            return Err(format!("{n_tokens} tokens at byte 8, expected 1 to {MAX_SHARD_TOKENS}"));
        }
        let split = match words[word::SPLIT] {
            0 => Split::Train,
            1 => Split::Val,
            other => return Err(format!("split {other} at byte 60, expected 0 (train) or 1 (val)")),
        };
        Ok(Self {
            width,
            n_tokens,
            payload_crc32c: words[word::PAYLOAD_CRC],
            end_of_text: Some(words[word::END_OF_TEXT]).filter(|&id| id != NO_END_OF_TEXT),
            n_documents: u64::from(words[word::DOCUMENTS]),
            shard_number: words[word::SHARD_NUMBER],
            split,
        })
    }

    /// Return the required size of the file: nothing follows the tokens.
    pub fn file_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.n_tokens * self.width.bytes() as u64
    }
}

fn to_bytes(words: &[u32; HEADER_BYTES / 4]) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn to_words(bytes: &[u8; HEADER_BYTES]) -> [u32; HEADER_BYTES / 4] {
    std::array::from_fn(|i| u32::from_le_bytes([bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2], bytes[4 * i + 3]]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header() -> Header {
        Header {
            width: TokenWidth::Uint16,
            n_tokens: 7,
            payload_crc32c: 0x1234_5678,
            end_of_text: Some(3),
            n_documents: 2,
            shard_number: 5,
            split: Split::Val,
        }
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        for end_of_text in [None, Some(0), Some(50_256)] {
            let header = Header { end_of_text, ..header() };
            assert_eq!(Header::decode(Path::new("x.bin"), &header.encode()).unwrap(), header);
        }
    }

    #[test]
    fn llmc_finds_its_three_words() {
        let bytes = header().encode();
        assert_eq!(bytes[..12], [0x88, 0xd8, 0x34, 0x01, 1, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(header().file_bytes(), 1_024 + 14);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = header().encode();
        for bit in 0..HEADER_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            Header::decode(Path::new("x.bin"), &bytes).unwrap_err();
        }
    }

    #[test]
    fn width_follows_from_the_vocabulary() {
        assert_eq!(TokenWidth::for_vocab(65_536), TokenWidth::Uint16);
        assert_eq!(TokenWidth::for_vocab(65_537), TokenWidth::Uint32);
    }
}
