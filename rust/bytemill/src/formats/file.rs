//! Reads whole vocabulary files, up to a size limit.

use crate::error::{Error, Result};
use crate::regular_file;
use std::io::Read;
use std::path::Path;

/// The largest real vocabularies take half of this. A larger file is a mistake or an attack, since
/// parsing multiplies its size.
pub(super) const MAX_FILE_BYTES: u64 = 64 << 20;

/// The mark that some editors write before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Return the bytes of the file, at most [`MAX_FILE_BYTES`], without a byte order mark.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = regular_file::open(path)?;
    let too_large = || Error::format(path, format!("has more than {MAX_FILE_BYTES} bytes, too many for a vocabulary"));
    if file.metadata().map_err(Error::io(path))?.len() > MAX_FILE_BYTES {
        return Err(too_large());
    }
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(too_large());
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Err(Error::format(path, "is UTF-16, expected a vocabulary in UTF-8"));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    if bytes.trim_ascii().is_empty() {
        return Err(Error::format(path, "is empty, expected a vocabulary"));
    }
    Ok(bytes)
}

/// Return the text of the file.
pub(super) fn read_text(path: &Path) -> Result<String> {
    text(path, read(path)?)
}

/// Convert `bytes`, read from `path`, to text.
pub(super) fn text(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        Error::format(path, format!("is not UTF-8 at byte {}, expected a vocabulary", error.utf8_error().valid_up_to()))
    })
}
