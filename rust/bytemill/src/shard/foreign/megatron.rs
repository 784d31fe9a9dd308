//! Megatron's `.bin` + `.idx`: raw tokens, and beside them lengths and places of the sequences.
//!
//! The index may be larger than memory allows, so it is read in two streams side by side: lengths and pointers.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::Found;
use crate::error::{Error, Result};
use crate::shard::format::header::TokenWidth;
use crate::shard::format::index::{self, PREFIX_BYTES};

/// The sequences must follow each other to the end of the `.bin`: then they are one row of tokens.
pub(in crate::shard) fn find(path: &Path, index_path: &Path, size: u64) -> Result<Found> {
    let refuse = |reason: String| Err(Error::format(index_path, reason));
    let mut lengths = BufReader::new(File::open(index_path).map_err(Error::io(index_path))?);
    let index_bytes = lengths.get_ref().metadata().map_err(Error::io(index_path))?.len();
    let mut prefix = [0; PREFIX_BYTES];
    if index_bytes < PREFIX_BYTES as u64 {
        return refuse(format!("{index_bytes} bytes are too few for a Megatron index"));
    }
    lengths.read_exact(&mut prefix).map_err(Error::io(index_path))?;
    let (width, n) = index::read_prefix(&prefix).map_err(|reason| Error::format(index_path, reason))?;
    let n_documents = u64::from_le_bytes(prefix[26..34].try_into().unwrap_or_default());
    // Both are bounded before they are multiplied: a damaged header may announce anything.
    if n.max(n_documents) > index_bytes || PREFIX_BYTES as u64 + 12 * n + 8 * n_documents != index_bytes {
        return refuse(format!("{index_bytes} bytes do not hold the {n} sequences announced at byte 18"));
    }
    let mut pointers = BufReader::new(File::open(index_path).map_err(Error::io(index_path))?);
    pointers.seek(SeekFrom::Start(PREFIX_BYTES as u64 + 4 * n)).map_err(Error::io(index_path))?;
    let (payload_at, end) = follow(index_path, lengths, pointers, n, width)?;
    if end != size {
        return Err(Error::format(path, format!("{size} bytes, but its index says that the tokens end at {end}")));
    }
    let n_tokens = (end - payload_at) / width.bytes() as u64;
    Ok(Found { format: "Megatron", payload_at, n_tokens, width })
}

/// Where the first sequence begins and the last one ends; each must begin where the one before it ends.
fn follow(
    path: &Path,
    mut lengths: impl Read,
    mut pointers: impl Read,
    n: u64,
    width: TokenWidth,
) -> Result<(u64, u64)> {
    let (mut first, mut end) = (0, 0);
    for sequence in 0..n {
        let (mut length, mut pointer) = ([0; 4], [0; 8]);
        lengths.read_exact(&mut length).map_err(Error::io(path))?;
        pointers.read_exact(&mut pointer).map_err(Error::io(path))?;
        let (length, pointer) = (i32::from_le_bytes(length), u64::from_le_bytes(pointer));
        if sequence == 0 {
            (first, end) = (pointer, pointer);
        }
        let Some(n_tokens) = u64::try_from(length).ok().filter(|_| pointer == end) else {
            let reason = format!(
                "sequence {sequence} of {length} tokens begins at byte {pointer}, expected {end}: not in a row"
            );
            return Err(Error::format(path, reason));
        };
        // Sequences follow each other without a gap, so the sum stays below the file's size or is refused there.
        end = end.saturating_add(n_tokens * width.bytes() as u64);
    }
    Ok((first, end))
}
