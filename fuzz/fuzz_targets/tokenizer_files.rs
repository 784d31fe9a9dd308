//! Any bytes are refused as a vocabulary, or read as a tokenizer that its own format gives back.
#![no_main]

use bytemill::formats::{PatternChoice, fingerprint, from_readable, load, to_readable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, bytes).unwrap();
    for pattern in [PatternChoice::Auto, PatternChoice::Given(None)] {
        if let Ok((vocab, splitter)) = load(&path, pattern, None) {
            let (again, again_splitter) = from_readable(&to_readable(&vocab, &splitter).unwrap()).unwrap();
            assert_eq!(fingerprint(&again, &again_splitter), fingerprint(&vocab, &splitter));
        }
    }
});
