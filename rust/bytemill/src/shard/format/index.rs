//! Document boundaries in Megatron's `.idx` format, with byte pointers that start after our header.
//!
//! Megatron-Core opens `x.idx` and reads documents from `x.bin` by pointer, so the same payload works there too. A
//! document that spans shards is one sequence in each of them.

use std::path::Path;

use super::entries::ShardEntry;
use super::header::{HEADER_BYTES, MAX_SHARD_TOKENS, TokenWidth};
use crate::error::{Error, Result};
use crate::shard::files::folder::side_file;

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const VERSION: u64 = 1;
/// Megatron reads lengths as `int32`.
const _: () = assert!(MAX_SHARD_TOKENS <= i32::MAX as u64);
/// Bytes before the lengths.
pub(in crate::shard) const PREFIX_BYTES: usize = 34;

/// The lengths in tokens of the document pieces in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Width of a token.
    pub width: TokenWidth,
    /// Tokens of each piece in order, including end-of-text; none is 0.
    pub lengths: Vec<u32>,
}

impl Index {
    /// Return the file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let n = self.lengths.len() as u64;
        let mut bytes = Vec::with_capacity(encoded_bytes(n) as usize);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.push(megatron_dtype(self.width));
        bytes.extend(n.to_le_bytes());
        bytes.extend((n + 1).to_le_bytes());
        bytes.extend(self.lengths.iter().flat_map(|length| length.to_le_bytes()));
        bytes.extend(self.byte_pointers().flat_map(u64::to_le_bytes));
        bytes.extend((0..=n).flat_map(u64::to_le_bytes));
        bytes
    }

    /// Read and check `bytes`, the index at `path`.
    ///
    /// Everything else in the index follows from the lengths, so any difference from the output of [`Index::encode`] is
    /// an error.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Err(Error::format(path, reason));
        let Some(prefix) = bytes.first_chunk() else {
            return refuse(format!("has {} bytes, too few for a Megatron index", bytes.len()));
        };
        let (width, n) = read_prefix(prefix).map_err(|reason| Error::format(path, reason))?;
        // Check n before allocating anything of its size.
        if n > bytes.len() as u64 || encoded_bytes(n) != bytes.len() as u64 {
            return refuse(format!(
                "has {} bytes, which does not match the {n} sequences stated at byte 18",
                bytes.len()
            ));
        }
        let lengths = bytes[PREFIX_BYTES..PREFIX_BYTES + 4 * n as usize].as_chunks().0;
        let lengths = lengths.iter().map(|&length| u32::from_le_bytes(length)).collect();
        let index = Self { width, lengths };
        if let Some(piece) = index.lengths.iter().position(|&length| length == 0 || length > i32::MAX as u32) {
            return refuse(format!("sequence {piece} has {} tokens", index.lengths[piece]));
        }
        match index.encode().iter().zip(bytes).position(|(expected, got)| expected != got) {
            Some(byte) => refuse(format!("byte {byte} does not match the sequence lengths")),
            None => Ok(index),
        }
    }

    /// Read the index of the shard `entry` in `folder`. Its checksum must match the manifest, and its lengths must fill
    /// the shard.
    pub(crate) fn read(folder: &Path, entry: &ShardEntry, width: TokenWidth) -> Result<Self> {
        // One piece may be the rest of a document from the shard before.
        let sizes = [0, 1].map(|continued| encoded_bytes(entry.documents + continued));
        let (path, bytes) = side_file(folder, &entry.side_name("idx"), &sizes)?;
        let (crc32c, expected) = (crc32c::crc32c(&bytes), entry.index_crc32c);
        if crc32c != expected {
            let reason = format!("is damaged: its checksum is {crc32c:08x}, the manifest says {expected:08x}");
            return Err(Error::format(&path, reason));
        }
        let index = Self::decode(&path, &bytes)?;
        if (index.width, index.n_tokens()) == (width, entry.tokens) {
            return Ok(index);
        }
        Err(Error::format(&path, format!("has {} tokens, but the shard has {}", index.n_tokens(), entry.tokens)))
    }

    /// Return the first tokens of the shard's `n_documents`, without the rest of a document from the shard before.
    pub(in crate::shard) fn document_starts(&self, n_documents: u64) -> impl Iterator<Item = u64> + '_ {
        let width = self.width.bytes() as u64;
        let continued = self.lengths.len() - n_documents as usize;
        self.byte_pointers().skip(continued).map(move |byte| (byte - HEADER_BYTES as u64) / width)
    }

    /// Return the number of tokens in all pieces.
    pub fn n_tokens(&self) -> u64 {
        self.lengths.iter().map(|&length| u64::from(length)).sum()
    }

    /// Return the offset of each piece's first token in the `.bin` file.
    pub fn byte_pointers(&self) -> impl Iterator<Item = u64> + '_ {
        let width = self.width.bytes() as u64;
        self.lengths.iter().scan(HEADER_BYTES as u64, move |next, &length| {
            let start = *next;
            *next += u64::from(length) * width;
            Some(start)
        })
    }
}

/// Return the type of the tokens and the number of sequences, from the first bytes of an index.
pub(in crate::shard) fn read_prefix(prefix: &[u8; PREFIX_BYTES]) -> Result<(TokenWidth, u64), String> {
    let number = |at: usize| prefix[at..].first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
    if !prefix.starts_with(MAGIC) {
        return Err("is not a Megatron index: no MMIDIDX at byte 0".to_owned());
    }
    if number(9) != VERSION {
        return Err(format!("Megatron index version {} at byte 9, expected {VERSION}", number(9)));
    }
    match prefix[17] {
        8 => Ok((TokenWidth::Uint16, number(18))),
        4 => Ok((TokenWidth::Uint32, number(18))),
        other => Err(format!("dtype code {other} at byte 17, expected 8 (uint16) or 4 (int32)")),
    }
}

/// Return the size of an index of `n` sequences: a length, a pointer and a document bound for each, and one more bound.
fn encoded_bytes(n: u64) -> u64 {
    PREFIX_BYTES as u64 + 4 * n + 8 * n + 8 * (n + 1)
}

/// Return Megatron's type code. Megatron has no `uint32`; ids below 2^31 are the same in its `int32`.
fn megatron_dtype(width: TokenWidth) -> u8 {
    match width {
        TokenWidth::Uint16 => 8,
        TokenWidth::Uint32 => 4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn index() -> Index {
        Index { width: TokenWidth::Uint16, lengths: vec![3, 1, 70_000] }
    }

    #[test]
    fn an_index_comes_back_as_it_was_written() {
        let index = index();
        assert_eq!(Index::decode(Path::new("x.idx"), &index.encode()).unwrap(), index);
        assert_eq!(index.byte_pointers().collect::<Vec<_>>(), [1_024, 1_030, 1_032]);
        assert_eq!(index.n_tokens(), 70_004);
    }

    #[test]
    fn every_cut_is_noticed_and_no_flipped_bit_panics() {
        let good = index().encode();
        for length in 0..good.len() {
            Index::decode(Path::new("x.idx"), &good[..length]).unwrap_err();
        }
        // A flipped bit in a length may pass here if the pointers match by chance; the manifest's CRC32C detects it.
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Index::decode(Path::new("x.idx"), &bytes).map_or(true, |read| read != index()));
        }
    }
}
