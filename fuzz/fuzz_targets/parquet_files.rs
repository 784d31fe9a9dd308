//! Any bytes as a Parquet file: texts within the limit of growth, or an error that names the file; never a panic.
#![no_main]

use bytemill::Error;
use bytemill::corpus::{Reading, for_each_document};
use libfuzzer_sys::fuzz_target;

/// What a file may grow to in any case, and beyond that by its size.
const ALWAYS_ALLOWED_BYTES: u64 = 16 << 20;
const MOST_GROWTH: u64 = 1_000;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    std::fs::write(&path, bytes).unwrap();
    let mut n_bytes = 0;
    let read = for_each_document(&path, Reading::default(), |_, text| {
        n_bytes += text.len() as u64;
        Ok(())
    });
    assert!(n_bytes <= ALWAYS_ALLOWED_BYTES + MOST_GROWTH * bytes.len() as u64, "{n_bytes} bytes of text");
    assert!(matches!(read, Ok(()) | Err(Error::Format { .. })), "{read:?}");
});
