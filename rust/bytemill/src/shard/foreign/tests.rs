//! Read back each format as its own writers produce it, and refuse every damage to a header.
#![allow(clippy::unwrap_used)]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::platform::open_files;
use crate::shard::{Index, Loader, LoaderOptions};

const TOKENS: [u16; 7] = [5, 6, 7, 65_535, 0, 1, 2];

fn payload() -> Vec<u8> {
    TOKENS.iter().flat_map(|id| id.to_le_bytes()).collect()
}

fn llmc() -> Vec<u8> {
    let mut words = [0_u32; 256];
    words[..3].copy_from_slice(&[20_240_520, 1, TOKENS.len() as u32]);
    [words.iter().flat_map(|word| word.to_le_bytes()).collect(), payload()].concat()
}

fn npy(header: &str) -> Vec<u8> {
    let length = (header.len() as u16).to_le_bytes();
    [MAGIC_1, &length, header.as_bytes(), &payload()].concat()
}

const MAGIC_1: &[u8] = b"\x93NUMPY\x01\x00";
const GOOD_NPY: &str = "{'descr': '<u2', 'fortran_order': False, 'shape': (7,), }          \n";

fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn read(path: &Path, stored: Option<TokenWidth>) -> Vec<u8> {
    let file = ForeignFile::new(path, stored).unwrap();
    let mut bytes = vec![0; file.n_tokens() as usize * file.width().bytes()];
    file.read(0, &mut bytes).unwrap();
    let mapped = file.clone().mapped();
    let mut one = [0; 2];
    mapped.read(0, &mut one).unwrap();
    assert_eq!(mapped.mapped_bytes(0, TOKENS.len()).unwrap(), bytes);
    bytes
}

fn refusal(path: &Path, stored: Option<TokenWidth>) -> String {
    ForeignFile::new(path, stored).unwrap_err().to_string()
}

#[test]
fn every_format_gives_its_tokens() {
    let (_folder, path) = written("x.bin", &llmc());
    assert_eq!(read(&path, None), payload());
    let (_folder, path) = written("x.npy", &npy(GOOD_NPY));
    assert_eq!(read(&path, None), payload());
    let (_folder, path) = written("x.bin", &payload());
    assert_eq!(read(&path, Some(TokenWidth::Uint16)), payload());
    let (folder, path) = written("x.bin", &payload());
    fs::write(folder.path().join("x.idx"), megatron(&[3, 4], 0)).unwrap();
    assert_eq!(read(&path, None), payload());
}

/// Return a Megatron index as Megatron writes it, with pointers from `first`.
fn megatron(lengths: &[u32], first: u64) -> Vec<u8> {
    let index = Index { width: TokenWidth::Uint16, lengths: lengths.to_vec() };
    let mut bytes = index.encode();
    let at = 34 + 4 * lengths.len();
    for (i, pointer) in index.byte_pointers().enumerate() {
        bytes[at + 8 * i..][..8].copy_from_slice(&(pointer - 1_024 + first).to_le_bytes());
    }
    bytes
}

#[test]
fn raw_tokens_are_never_guessed() {
    let (_folder, path) = written("x.bin", &payload());
    assert!(refusal(&path, None).contains("stored_dtype"));
    let (_folder, path) = written("x.bin", &payload()[..13]);
    assert!(refusal(&path, Some(TokenWidth::Uint16)).contains("13 bytes, which is not a whole number"));
    let (_folder, path) = written("x.bin", &llmc());
    assert!(refusal(&path, Some(TokenWidth::Uint32)).contains("stored_dtype is different"));
}

#[test]
fn a_damaged_header_is_refused_wherever_it_contradicts_the_file() {
    let good = llmc();
    for bit in 0..12 * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let (_folder, path) = written("x.bin", &bytes);
        refusal(&path, None);
    }
    for length in 0..good.len() {
        let (_folder, path) = written("x.bin", &good[..length]);
        refusal(&path, None);
    }
}

#[test]
fn npy_of_objects_or_other_shapes_is_refused() {
    for (wrong, reason) in [
        ("{'descr': '|O', 'fortran_order': False, 'shape': (7,), }", "descr \"|O\""),
        ("{'descr': '<i8', 'fortran_order': False, 'shape': (7,), }", "descr \"<i8\""),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (7, 1), }", "one dimension"),
        ("{'descr': '<u2', 'fortran_order': False, 'shape': (8,), }", "8 tokens"),
        ("{'descr': '<u2', 'fortran_order': No, 'shape': (7,), }", "fortran_order"),
        ("{'fortran_order': False, 'shape': (7,), }", "no descr"),
        ("", "no descr"),
    ] {
        let (_folder, path) = written("x.npy", &npy(wrong));
        assert!(refusal(&path, None).contains(reason), "{}", refusal(&path, None));
    }
    let good = npy(GOOD_NPY);
    for length in 6..good.len() {
        let (_folder, path) = written("x.npy", &good[..length]);
        refusal(&path, None);
    }
}

#[test]
fn an_index_that_is_damaged_or_of_another_file_is_refused() {
    let good = megatron(&[3, 4], 0);
    let (folder, path) = written("x.bin", &payload());
    let index = folder.path().join("x.idx");
    for bit in 0..(34 + 8 + 16) * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&index, &bytes).unwrap();
        refusal(&path, None);
    }
    for length in 0..good.len() {
        fs::write(&index, &good[..length]).unwrap();
        refusal(&path, None);
    }
    fs::write(&index, megatron(&[3, 5], 0)).unwrap();
    assert!(refusal(&path, None).contains("14 bytes, but its index says that the tokens end at byte 16"));
}

/// All files stayed open, so data with more files than a process may open could not be read.
#[test]
fn of_very_many_files_not_all_stay_open() {
    let folder = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..300).map(|number| folder.path().join(format!("{number}.bin"))).collect();
    for path in &paths {
        fs::write(path, payload()).unwrap();
    }
    let (stored, prefetch_batches) = (Some(TokenWidth::Uint16), 0);
    let options = LoaderOptions { shuffle: false, stored, prefetch_batches, ..LoaderOptions::new(1, TOKENS.len()) };
    let mut loader = Loader::open(&paths, options).unwrap();
    for _ in 0..loader.n_samples()[0] {
        assert_eq!(loader.next_batch().unwrap().inputs(), TOKENS.map(i64::from));
    }
    if let Some(open) = open_files() {
        assert_eq!(open.iter().filter(|file| file.starts_with(folder.path())).count(), 256);
    }
}

#[test]
fn a_file_cut_while_it_is_open_is_an_error() {
    let (_folder, path) = written("x.bin", &llmc());
    let file = ForeignFile::new(&path, None).unwrap();
    let mut bytes = vec![0; 14];
    file.read(0, &mut bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_len(1_030).unwrap();
    assert!(file.read(0, &mut bytes).unwrap_err().to_string().contains("truncated"));
}
