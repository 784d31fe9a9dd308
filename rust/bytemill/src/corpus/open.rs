//! Open a file and unpack it while reading.
//!
//! The unpacked size is limited, because a few kilobytes can unpack to terabytes.

use super::kind::{Kind, Packing};
use super::zstandard::ZstandardReader;
use crate::error::{Error, Result};
use crate::regular_file;
use flate2::bufread::MultiGzDecoder;
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

/// Bytes per read.
pub(super) const BLOCK_BYTES: usize = 1 << 18;

/// Maximum ratio of a file's unpacked size to its size.
const MOST_GROWTH: u64 = 1_000;
/// Unpacked size that is allowed in addition, for any file.
const ALWAYS_ALLOWED_BYTES: u64 = 16 << 20;

/// Minimum size counted for a row of a table: many millions of empty rows fit into a few kilobytes.
pub(super) const ROW_BYTES: u64 = 16;

/// Open the file at `path` and return its unpacked content. Pass its errors through [`fault`].
pub(super) fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = regular_file::open(path)?;
    let Some(packing) = Kind::of(path)?.packing else { return Ok(Box::new(file)) };
    let limit = growth_limit(&file).map_err(Error::io(path))?;
    let packed_bytes = Rc::new(Cell::new(0));
    let packed = BufReader::with_capacity(BLOCK_BYTES, Counted { file, bytes: Rc::clone(&packed_bytes) });
    let content: Box<dyn Read> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Packing::Zstandard => Box::new(ZstandardReader::new(packed)),
    };
    Ok(Box::new(Unpacked { content, limit, bytes: 0, packed_bytes }))
}

/// Return the maximum unpacked size of `file`.
pub(super) fn growth_limit(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len().saturating_mul(MOST_GROWTH).saturating_add(ALWAYS_ALLOWED_BYTES))
}

/// Return the error text for a file with more than `limit` unpacked bytes.
pub(super) fn grown(limit: u64) -> String {
    format!(
        "unpacks to more than {limit} bytes ({MOST_GROWTH} times its size plus {} MiB), which is refused; \
         if this is intended, unpack it first",
        ALWAYS_ALLOWED_BYTES >> 20
    )
}

/// Return the error for a failed read of the file at `path`: either of the disk or of the content.
pub(super) fn fault(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| match error.downcast::<Damage>() {
        Ok(damage) => Error::format(path, damage.0),
        Err(error) => Error::io(path)(error),
    }
}

/// Error for content that cannot be unpacked.
#[derive(Debug)]
struct Damage(String);

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Damage {}

/// A file that counts the bytes read from it.
struct Counted {
    file: File,
    bytes: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.bytes.set(self.bytes.get() + n as u64);
        Ok(n)
    }
}

/// A file's unpacked content, with a limit on its size.
struct Unpacked {
    content: Box<dyn Read>,
    limit: u64,
    bytes: u64,
    packed_bytes: Rc<Cell<u64>>,
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(buffer).map_err(|error| self.damage(error))?;
        self.bytes += n as u64;
        if self.bytes > self.limit {
            return Err(io::Error::other(Damage(grown(self.limit))));
        }
        Ok(n)
    }
}

impl Unpacked {
    /// Keep errors of the system; turn others into errors of the content.
    fn damage(&self, error: io::Error) -> io::Error {
        if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::Interrupted {
            return error;
        }
        let (at, after) = (self.packed_bytes.get(), self.bytes);
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => format!("ends at byte {at} in the middle of its compressed content"),
            _ => format!("compressed content is damaged before byte {at}: {error}"),
        };
        io::Error::other(Damage(format!("{reason} (after {after} unpacked bytes)")))
    }
}
