//! CRC32C of each 1 MiB block of a shard's payload, in a side file; and SHA-256 of whole files.
//!
//! A batch reads a few kilobytes at a random place. One checksum over the whole shard could not be checked then. A
//! checksum per 1 MiB block can be checked once, when the block is first read. The blocks' checksums combine into the
//! payload's checksum, so header and side file confirm each other.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::header::HEADER_BYTES;
use crate::error::{Error, Result};

/// Payload bytes per checksum.
pub const BLOCK_BYTES: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"BMILLCRC";
const VERSION: u32 = 1;
const PREFIX_BYTES: usize = 24;

/// The checksums of a payload's blocks, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockChecksums {
    payload_bytes: u64,
    crc32c: Vec<u32>,
}

impl BlockChecksums {
    /// Add the next payload bytes, in pieces of any size.
    ///
    /// ```
    /// # use bytemill::shard::BlockChecksums;
    /// let mut blocks = BlockChecksums::default();
    /// blocks.update(b"1234");
    /// blocks.update(b"56789");
    /// assert_eq!(blocks.payload_crc32c(), 0xe306_9283); // the CRC catalogue's check value
    /// ```
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = (self.payload_bytes % BLOCK_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - filled));
            let before = if filled == 0 { None } else { self.crc32c.pop() };
            self.crc32c.push(crc32c::crc32c_append(before.unwrap_or(0), now));
            self.payload_bytes += now.len() as u64;
            bytes = later;
        }
    }

    /// Return the number of blocks; the last may be short.
    pub fn n_blocks(&self) -> usize {
        self.crc32c.len()
    }

    /// Return the number of payload bytes covered by the checksums.
    pub fn payload_bytes(&self) -> u64 {
        self.payload_bytes
    }

    /// Return the CRC32C of the whole payload, combined from the blocks' checksums.
    pub fn payload_crc32c(&self) -> u32 {
        let mut left = self.payload_bytes;
        self.crc32c.iter().fold(0, |whole, &block| {
            let bytes = left.min(BLOCK_BYTES as u64);
            left -= bytes;
            crc32c::crc32c_combine(whole, block, bytes as usize)
        })
    }

    /// Compare the bytes of block `number` of the shard at `path` with its checksum.
    pub fn check(&self, path: &Path, number: usize, block: &[u8]) -> Result<()> {
        self.check_crc32c(path, number, block.len(), crc32c::crc32c(block))
    }

    /// Check a block as [`Self::check`] does, given its size `n_bytes` and its `computed` checksum.
    pub(in crate::shard) fn check_crc32c(
        &self,
        path: &Path,
        number: usize,
        n_bytes: usize,
        computed: u32,
    ) -> Result<()> {
        match self.crc32c.get(number) {
            Some(&stored) if stored == computed => Ok(()),
            Some(stored) => Err(Error::format(
                path,
                format!(
                    "damaged in the {n_bytes} bytes from byte {}: checksum {computed:08x}, expected {stored:08x}",
                    HEADER_BYTES + number * BLOCK_BYTES,
                ),
            )),
            None => Err(Error::format(
                path,
                format!("block {number} has no checksum; there are {} blocks", self.n_blocks()),
            )),
        }
    }

    /// Return the side file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((BLOCK_BYTES as u32).to_le_bytes());
        bytes.extend(self.payload_bytes.to_le_bytes());
        bytes.extend(self.crc32c.iter().flat_map(|crc| crc.to_le_bytes()));
        let own = crc32c::crc32c(&bytes);
        bytes.extend(own.to_le_bytes());
        bytes
    }

    /// Read and check `bytes`, the side file at `path`.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Err(Error::format(path, reason));
        let Some((body, own)) = bytes.split_last_chunk::<4>().filter(|(body, _)| body.len() >= PREFIX_BYTES) else {
            return refuse(format!("has {} bytes, too few for a checksum file", bytes.len()));
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*own) {
            return refuse("is damaged: the checksum file's own checksum does not match".to_owned());
        }
        let expected = [&MAGIC[..], &VERSION.to_le_bytes(), &(BLOCK_BYTES as u32).to_le_bytes()].concat();
        let Some((payload, crcs)) = body.strip_prefix(expected.as_slice()).and_then(<[u8]>::split_first_chunk) else {
            return refuse("is not a checksum file of version 1 with blocks of 1 MiB".to_owned());
        };
        let payload_bytes = u64::from_le_bytes(*payload);
        if crcs.len() as u64 != payload_bytes.div_ceil(BLOCK_BYTES as u64).saturating_mul(4) {
            return refuse(format!(
                "has {} bytes of checksums, which does not match a payload of {payload_bytes} bytes",
                crcs.len()
            ));
        }
        let crc32c = crcs.as_chunks().0.iter().map(|&crc| u32::from_le_bytes(crc)).collect();
        Ok(Self { payload_bytes, crc32c })
    }
}

/// Return the size of a payload's side file: its prefix, four bytes per block, its own checksum.
pub(in crate::shard) fn encoded_bytes(payload_bytes: u64) -> u64 {
    PREFIX_BYTES as u64 + 4 * payload_bytes.div_ceil(BLOCK_BYTES as u64) + 4
}

/// Return the SHA-256 of the file at `path` in hexadecimal; read the file in pieces.
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; BLOCK_BYTES];
    loop {
        match file.read(&mut piece).map_err(Error::io(path))? {
            0 => return Ok(hex(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

/// Return the SHA-256 of `bytes` in hexadecimal.
pub fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Return lower-case hexadecimal, two digits per byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(DIGITS[usize::from(half)])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pieces_of_any_size_give_the_checksums_of_the_blocks() {
        let payload: Vec<u8> = (0..BLOCK_BYTES * 2 + 77).map(|i| (i * 31 % 251) as u8).collect();
        let mut blocks = BlockChecksums::default();
        payload.chunks(99_991).for_each(|piece| blocks.update(piece));
        let naive: Vec<u32> = payload.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect();
        assert_eq!(blocks.crc32c, naive);
        assert_eq!(blocks.payload_crc32c(), crc32c::crc32c(&payload));
        assert_eq!(BlockChecksums::decode(Path::new("x.crc"), &blocks.encode()).unwrap(), blocks);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let mut blocks = BlockChecksums::default();
        blocks.update(&vec![7; BLOCK_BYTES + 1]);
        let good = blocks.encode();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            BlockChecksums::decode(Path::new("x.crc"), &bytes).unwrap_err();
        }
        for length in 0..good.len() {
            BlockChecksums::decode(Path::new("x.crc"), &good[..length]).unwrap_err();
        }
    }

    #[test]
    fn sha256_is_the_standards() {
        assert_eq!(sha256_of_bytes(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
