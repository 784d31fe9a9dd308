//! One-dimensional `.npy` files: `NumPy`'s format, whose header contains everything needed. Object arrays, which are
//! pickles, are refused.

use std::fs::File;
use std::path::Path;

use super::{Found, check_size};
use crate::error::{Error, Result};
use crate::platform;
use crate::shard::format::header::TokenWidth;

/// The first bytes of a `.npy` file; the version follows.
pub(in crate::shard) const MAGIC: &[u8] = b"\x93NUMPY";

/// Maximum size of a header to read; `NumPy`'s own are below 200 bytes.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Read the header, a Python dictionary with `descr`, `fortran_order` and `shape`.
pub(in crate::shard) fn find(path: &Path, file: &File, size: u64) -> Result<Found> {
    let refuse = |reason: String| Error::format(path, reason);
    let mut start = [0; 12];
    let n = platform::read_at(file, &mut start, 0).map_err(Error::io(path))?;
    let (header_at, header_bytes) = match (n, start[6]) {
        (10.., 1) => (10, usize::from(u16::from_le_bytes([start[8], start[9]]))),
        (12, 2 | 3) => (12, u32::from_le_bytes([start[8], start[9], start[10], start[11]]) as usize),
        _ => return Err(refuse(format!(".npy version {} of {size} bytes, expected 1 to 3", start[6]))),
    };
    if header_bytes > MAX_HEADER_BYTES || (header_at + header_bytes) as u64 > size {
        return Err(refuse(format!(".npy header of {header_bytes} bytes in a file of {size}")));
    }
    let mut header = vec![0; header_bytes];
    platform::read_exact_at(file, &mut header, header_at as u64).map_err(Error::io(path))?;
    let header = String::from_utf8_lossy(&header);
    let (n_tokens, width) = parse(&header).map_err(|reason| refuse(format!(".npy header {header:?}: {reason}")))?;
    check_size(path, size, Found { format: ".npy", payload_at: (header_at + header_bytes) as u64, n_tokens, width })
}

fn parse(header: &str) -> Result<(u64, TokenWidth), String> {
    let after = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':")).ok_or(format!("no {key}"))?;
        Ok::<_, String>(rest.trim_start())
    };
    let descr = after("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let width = match descr {
        "<u2" => TokenWidth::Uint16,
        "<u4" | "<i4" => TokenWidth::Uint32,
        other => return Err(format!("descr {other:?}, expected '<u2', '<u4' or '<i4'")),
    };
    if !after("fortran_order")?.starts_with("False") && !after("fortran_order")?.starts_with("True") {
        return Err("fortran_order is neither False nor True".to_owned());
    }
    let shape = after("shape")?.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(shape, _)| shape.trim());
    let n = shape.and_then(|shape| shape.strip_suffix(',')).and_then(|n| n.trim().parse().ok());
    n.map(|n| (n, width)).ok_or(format!("shape {shape:?}, expected one dimension"))
}
