//! llm.c's token files, which modded-nanogpt reads and writes as well: 256 words, then the tokens.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Found, check_size};
use crate::error::{Error, Result};
use crate::shard::format::header::{HEADER_BYTES, Header, TokenWidth};

/// 20240520, the first word.
pub(in crate::shard) const MAGIC: [u8; 4] = 20_240_520_u32.to_le_bytes();

/// Version 1 holds `uint16`, version 7 `uint32`. One of ours, taken out of its folder, has a checksum to hold.
pub(in crate::shard) fn find(path: &Path, file: &File, size: u64) -> Result<Found> {
    let mut header = [0; HEADER_BYTES];
    if size < HEADER_BYTES as u64 {
        return Err(Error::format(path, format!("{size} bytes are too few for llm.c's header of {HEADER_BYTES}")));
    }
    file.read_exact_at(&mut header, 0).map_err(Error::io(path))?;
    let word = |i: usize| u32::from_le_bytes([header[4 * i], header[4 * i + 1], header[4 * i + 2], header[4 * i + 3]]);
    let width = match word(1) {
        1 => TokenWidth::Uint16,
        7 => TokenWidth::Uint32,
        other => return Err(Error::format(path, format!("llm.c version {other} at byte 4, expected 1 or 7"))),
    };
    if word(8) == u32::from_le_bytes(*b"BYML") {
        Header::decode(path, &header)?;
    }
    let found = Found { format: "llm.c", payload_at: HEADER_BYTES as u64, n_tokens: word(2).into(), width };
    check_size(path, size, found)
}
