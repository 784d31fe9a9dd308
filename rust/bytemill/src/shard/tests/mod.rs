//! Properties of shards under damage, hostile input, and any number of ranks and threads.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod faults;
mod hostile;
mod loading;
mod packing;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tempfile::TempDir;

use super::*;
use crate::error::Error;

const END_OF_TEXT: u32 = 299;

fn go(_: u64) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Create a folder with `documents` in its train split; return it and its tokens.
fn folder(n_vocab: u32, shard_tokens: u64, documents: &[Vec<u32>]) -> (TempDir, Vec<u32>) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { n_vocab, end_of_text: Some(END_OF_TEXT), shard_tokens };
    let mut writer = SplitWriter::new(folder.path(), Split::Train, layout).unwrap();
    let mut tokens = Vec::new();
    for document in documents {
        writer.begin_document().unwrap();
        writer.write(document).unwrap();
        tokens.push(END_OF_TEXT);
        tokens.extend(document);
    }
    let shards = writer.finish().unwrap();
    Manifest::new(n_vocab, "f".repeat(64), Some(END_OF_TEXT), shards).write(folder.path()).unwrap();
    (folder, tokens)
}

/// Return documents of many lengths, including 0.
fn documents(n: u32, largest_id: u32) -> Vec<Vec<u32>> {
    (0..n).map(|d| (0..d * 37 % 91).map(|i| (d * 7_919 + i * 31) % (largest_id + 1)).collect()).collect()
}

/// Return all files of the folder, to restore them after damage.
fn contents(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// Return random numbers that are the same in each run.
fn random() -> impl FnMut(usize) -> usize {
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    move |below| (rng.next_u64() % below as u64) as usize
}

/// Read one epoch in file order, up to the first error.
fn read_in_order(folder: &Path, seq_len: usize) -> (Vec<i64>, Result<(), crate::Error>) {
    let options = LoaderOptions { shuffle: false, prefetch_batches: 0, ..LoaderOptions::new(1, seq_len) };
    let mut read = Vec::new();
    let mut loader = match Loader::open(&[folder], options) {
        Ok(loader) => loader,
        Err(error) => return (read, Err(error)),
    };
    for _ in 0..loader.n_samples()[0] {
        match loader.next_batch() {
            Ok(batch) => read.extend(batch.inputs()),
            Err(error) => return (read, Err(error)),
        }
    }
    (read, Ok(()))
}

#[test]
fn what_is_written_verifies_and_reads_back() {
    for (n_vocab, shard_tokens) in [(300, 1_000), (70_000, 777), (300, 1), (300, 100_000)] {
        let n = if shard_tokens == 1 { 5 } else { 60 };
        let (folder, tokens) = folder(n_vocab, shard_tokens, &documents(n, n_vocab - 1));
        let manifest = verify(folder.path(), &mut go).unwrap();
        assert_eq!(manifest.n_tokens(Split::Train), tokens.len() as u64);
        assert_eq!(manifest.n_documents(Split::Train), u64::from(n));
        let (read, result) = read_in_order(folder.path(), 1);
        result.unwrap();
        assert_eq!(read, tokens[..tokens.len() - 1].iter().map(|&id| i64::from(id)).collect::<Vec<_>>());
    }
}

#[test]
fn a_document_that_crosses_shards_is_a_piece_in_each() {
    let (folder, _) = folder(300, 4, &[vec![1, 2, 3, 4], vec![], vec![5]]);
    let lengths = |name: &str| {
        let path = folder.path().join(name);
        Index::decode(&path, &fs::read(&path).unwrap()).unwrap().lengths
    };
    assert_eq!(lengths("train_000000.idx"), [4]);
    assert_eq!(lengths("train_000001.idx"), [1, 1, 2]);
    let documents: Vec<_> =
        verify(folder.path(), &mut go).unwrap().shards.iter().map(|shard| shard.documents).collect();
    assert_eq!(documents, [1, 2]);
}

#[test]
fn an_id_beyond_the_vocabulary_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { n_vocab: 65_536, end_of_text: None, shard_tokens: 10 };
    let mut writer = SplitWriter::new(folder.path(), Split::Train, layout).unwrap();
    writer.write(&[1, 65_535]).unwrap();
    let message = writer.write(&[2, 65_536]).unwrap_err().to_string();
    assert_eq!(message, "token id 65536 at position 3 is not in this vocabulary of 65536 ids");
    drop(writer);
    assert!(contents(folder.path()).is_empty(), "an unfinished shard leaves nothing");
}

#[test]
fn another_tokenizer_is_refused() {
    let (folder, _) = folder(300, 100, &documents(3, 255));
    let manifest = Manifest::read(folder.path()).unwrap();
    manifest.check_tokenizer(&"f".repeat(64), 300).unwrap();
    manifest.check_tokenizer(&"e".repeat(64), 300).unwrap_err();
    let message = manifest.check_tokenizer(&"f".repeat(64), 301).unwrap_err().to_string();
    assert!(message.contains("301 ids") && message.contains("300 ids"), "{message}");
}

#[test]
fn leftovers_of_a_killed_writer_go_and_other_files_stay() {
    let (folder, _) = folder(300, 1_000, &documents(60, 255));
    let path = |name: &str| folder.path().join(name);
    fs::remove_file(path(MANIFEST_NAME)).unwrap();
    for name in ["train_000009.bin.tmp", "manifest.json.tmp", "notes.txt", "train_1.bin", "x_000000.bin"] {
        fs::write(path(name), "x").unwrap();
    }
    leftovers::remove_leftovers(folder.path(), &[]).unwrap();
    let left: Vec<_> = contents(folder.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, ["notes.txt", "train_1.bin", "x_000000.bin"].map(path));
    for name in ["train_000000.bin", "train_000000.idx", "val_000000.crc"] {
        fs::write(path(name), "somebody's data").unwrap();
    }
    let message = leftovers::remove_leftovers(folder.path(), &[]).unwrap_err().to_string();
    assert!(message.contains("was not written by bytemill"), "{message}");
    assert_eq!(contents(folder.path()).len(), 6, "nothing of somebody's is deleted");
}

/// A Megatron index, or any file with the name of ours, was deleted if no `.bin` was next to it.
#[test]
fn side_files_of_somebody_are_not_taken_for_leftovers() {
    for name in ["train_000000.idx", "val_000000.crc"] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), "somebody's data").unwrap();
        leftovers::remove_leftovers(folder.path(), &[]).unwrap_err();
        assert_eq!(contents(folder.path()).len(), 1);
    }
}

/// Both continued to the end after Ctrl-C.
#[test]
fn verifying_and_merging_can_be_stopped_and_a_stopped_merge_leaves_no_files() {
    let (folder, _) = folder(300, 1_000, &documents(60, 255));
    let n_bytes: u64 = Manifest::read(folder.path()).unwrap().shards.iter().map(|shard| shard.bytes).sum();
    let n_payload_bytes = n_bytes - HEADER_BYTES as u64 * 3;
    let mut reported = Vec::new();
    verify(folder.path(), &mut |n| {
        reported.push(n);
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!((reported.len(), reported.iter().sum()), (3, n_payload_bytes), "{reported:?}");
    for n_calls in [0, 2, 3, 5] {
        let out = tempfile::tempdir().unwrap();
        let mut left = n_calls;
        let mut stop = |_| {
            left -= 1;
            if left < 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        assert!(matches!(merge(&[folder.path()], out.path(), &mut stop), Err(Error::Interrupted)));
        assert!(contents(out.path()).is_empty(), "{n_calls}");
        merge(&[folder.path()], out.path(), &mut go).unwrap();
        assert_eq!(Manifest::read(out.path()).unwrap(), verify(out.path(), &mut go).unwrap());
    }
    assert!(matches!(verify(folder.path(), &mut |_| ControlFlow::Break(())), Err(Error::Interrupted)));
}
