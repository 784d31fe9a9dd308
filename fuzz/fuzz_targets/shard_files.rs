//! Any bytes are refused as header, index, checksums or manifest, or are what a writer would write.
#![no_main]

use bytemill::shard::{BlockChecksums, Header, Index, MANIFEST_NAME, Manifest};
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let path = Path::new("file");
    if let Ok(header) = Header::decode(path, bytes) {
        assert_eq!(Header::decode(path, &header.encode()).unwrap(), header);
    }
    if let Ok(index) = Index::decode(path, bytes) {
        assert_eq!(index.encode(), bytes);
    }
    if let Ok(blocks) = BlockChecksums::decode(path, bytes) {
        assert_eq!(blocks.encode(), bytes);
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(MANIFEST_NAME), bytes).unwrap();
    let _ = Manifest::read(folder.path());
});
