//! Token files of llm.c, which modded-nanogpt also reads and writes: 256 words, then the tokens.

use std::fs::File;
use std::path::Path;

use super::{Found, check_size};
use crate::error::{Error, Result};
use crate::platform;
use crate::shard::format::header::{HEADER_BYTES, Header, TokenWidth};

/// The first word, 20240520.
pub(in crate::shard) const MAGIC: [u8; 4] = 20_240_520_u32.to_le_bytes();

/// Read the header: version 1 has `uint16`, version 7 `uint32` tokens. In a bytemill shard outside its folder, the
/// header's checksum is checked too.
pub(in crate::shard) fn find(path: &Path, file: &File, size: u64) -> Result<Found> {
    let mut header = [0; HEADER_BYTES];
    if size < HEADER_BYTES as u64 {
        return Err(Error::format(path, format!("has {size} bytes, too few for llm.c's header of {HEADER_BYTES}")));
    }
    platform::read_exact_at(file, &mut header, 0).map_err(Error::io(path))?;
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
