//! Megatron's `.bin` + `.idx`: raw tokens, and an index with lengths and offsets of the sequences.
//!
//! The index may be larger than the memory, so it is read as two parallel streams: lengths and pointers.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::Found;
use crate::error::{Error, Result};
use crate::shard::format::header::TokenWidth;
use crate::shard::format::index::{self, PREFIX_BYTES};

/// Read the index. The sequences must be contiguous up to the end of the `.bin`, so that they form one row of tokens.
pub(in crate::shard) fn find(path: &Path, index_path: &Path, size: u64) -> Result<Found> {
    let refuse = |reason: String| Err(Error::format(index_path, reason));
    let mut lengths = BufReader::new(File::open(index_path).map_err(Error::io(index_path))?);
    let index_bytes = lengths.get_ref().metadata().map_err(Error::io(index_path))?.len();
    let mut prefix = [0; PREFIX_BYTES];
    if index_bytes < PREFIX_BYTES as u64 {
        return refuse(format!("has {index_bytes} bytes, too few for a Megatron index"));
    }
    lengths.read_exact(&mut prefix).map_err(Error::io(index_path))?;
    let (width, n) = index::read_prefix(&prefix).map_err(|reason| Error::format(index_path, reason))?;
    let n_documents = u64::from_le_bytes(prefix[26..34].try_into().unwrap_or_default());
    // Check both numbers before multiplying them: a damaged header may contain any number.
    if n.max(n_documents) > index_bytes || PREFIX_BYTES as u64 + 12 * n + 8 * n_documents != index_bytes {
        return refuse(format!("has {index_bytes} bytes, which does not match the {n} sequences stated at byte 18"));
    }
    let mut pointers = BufReader::new(File::open(index_path).map_err(Error::io(index_path))?);
    pointers.seek(SeekFrom::Start(PREFIX_BYTES as u64 + 4 * n)).map_err(Error::io(index_path))?;
    let (payload_at, end) = follow(index_path, lengths, pointers, n, width)?;
    if end != size {
        return Err(Error::format(
            path,
            format!("has {size} bytes, but its index says that the tokens end at byte {end}"),
        ));
    }
    let n_tokens = (end - payload_at) / width.bytes() as u64;
    Ok(Found { format: "Megatron", payload_at, n_tokens, width })
}

/// Return the start of the first sequence and the end of the last one; each must start where the one before it ends.
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
                "sequence {sequence} of {length} tokens begins at byte {pointer}, expected {end}: not contiguous"
            );
            return Err(Error::format(path, reason));
        };
        // Sequences are contiguous, so a sum beyond the file's size is refused by the caller.
        end = end.saturating_add(n_tokens * width.bytes() as u64);
    }
    Ok((first, end))
}
