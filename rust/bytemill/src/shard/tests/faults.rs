//! Reliability rows 4 and 5: flipped bits and truncated files are found before a wrong token is delivered.

use super::*;
use crate::platform;

const SEQ_LEN: usize = 13;

fn small_folder() -> TempDir {
    folder(300, 900, &documents(50, 298)).0
}

/// Check that `verify` finds the damage in `name`, and that the loader fails too or read nothing of the damaged part.
fn assert_noticed(folder: &Path, name: &Path, good: &[i64], what: &str) {
    let message = verify(folder, &mut go).expect_err(what).to_string();
    let stem = name.file_stem().unwrap().to_string_lossy();
    assert!(message.contains(&*stem), "{what} of {}: {message}", name.display());
    let (read, result) = read_in_order(folder, SEQ_LEN);
    assert!(good.starts_with(&read), "{what} of {} reached the batches", name.display());
    // The loader needs no index, so nothing from it reaches a batch; code that reads an index gets the error of
    // `verify`.
    assert!(result.is_err() || name.extension().unwrap() == "idx", "{what} of {} passed", name.display());
}

#[test]
fn every_flipped_bit_is_found() {
    let folder = small_folder();
    let (good, result) = read_in_order(folder.path(), SEQ_LEN);
    result.unwrap();
    let mut random = random();
    for (path, bytes) in contents(folder.path()) {
        for _ in 0..200 {
            let bit = random(bytes.len() * 8);
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, damaged).unwrap();
            assert_noticed(folder.path(), &path, &good, &format!("bit {bit}"));
        }
        fs::write(&path, bytes).unwrap();
    }
    verify(folder.path(), &mut go).unwrap();
}

#[test]
#[ignore = "every bit of every file: a minute"]
fn every_single_bit_of_a_folder_is_found() {
    let folder = small_folder();
    let (good, _) = read_in_order(folder.path(), SEQ_LEN);
    for (path, bytes) in contents(folder.path()) {
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, damaged).unwrap();
            assert_noticed(folder.path(), &path, &good, &format!("bit {bit}"));
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn every_cut_is_found() {
    let folder = small_folder();
    let (good, _) = read_in_order(folder.path(), SEQ_LEN);
    let mut random = random();
    for (path, bytes) in contents(folder.path()) {
        let lengths = (0..bytes.len().min(2_001)).step_by(7).chain((0..50).map(|_| random(bytes.len())));
        for length in lengths {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_noticed(folder.path(), &path, &good, &format!("a cut to {length} bytes"));
        }
        fs::write(&path, [&bytes[..], &[0]].concat()).unwrap();
        assert_noticed(folder.path(), &path, &good, "a byte too many");
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
#[ignore = "each length to 2,000 and 200 random ones of each file: a minute"]
fn every_single_cut_is_found() {
    let folder = small_folder();
    let (good, _) = read_in_order(folder.path(), SEQ_LEN);
    let mut random = random();
    for (path, bytes) in contents(folder.path()) {
        for length in (0..bytes.len().min(2_001)).chain((0..200).map(|_| random(bytes.len()))) {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_noticed(folder.path(), &path, &good, &format!("a cut to {length} bytes"));
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn truncating_an_open_file_is_an_error_and_reading_continues_after_it_is_fixed() {
    let folder = small_folder();
    for (threads, length) in [(0, 0), (1, 500), (2, 1_024)] {
        let options = LoaderOptions { threads, prefetch_batches: 1, ..LoaderOptions::new(2, SEQ_LEN) };
        let mut loader = Loader::open(&[folder.path()], options).unwrap();
        let start = loader.state().clone();
        let expected = loader.next_batch().unwrap();
        // Then all blocks have been checked, so only the reads themselves can detect the change.
        (0..200).for_each(|_| drop(loader.next_batch().unwrap()));
        loader.load_state(&start).unwrap();
        let is_shard = |path: &Path| path.extension().unwrap() == "bin";
        let shards: Vec<_> = contents(folder.path()).into_iter().filter(|(path, _)| is_shard(path)).collect();
        for (path, _) in &shards {
            fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
        }
        let message = loader.next_batch().unwrap_err().to_string();
        assert!(message.contains("truncated") && message.contains(".bin"), "{message}");
        for (path, bytes) in &shards {
            fs::write(path, bytes).unwrap();
        }
        assert_eq!(loader.next_batch().unwrap(), expected);
    }
}

#[test]
fn damage_in_one_block_leaves_the_others_readable_and_names_its_place() {
    let n_tokens = BLOCK_BYTES * 5 / 4; // two bytes per token: two and a half blocks
    let (folder, _) = folder(300, 100_000_000, &[vec![7; n_tokens]]);
    let path = folder.path().join("train_000000.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[HEADER_BYTES + BLOCK_BYTES + 99] ^= 4;
    fs::write(&path, bytes).unwrap();
    let (read, result) = read_in_order(folder.path(), 1_000);
    assert_eq!(read.len(), BLOCK_BYTES / 2 / 1_000 * 1_000);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("damaged in the 1048576 bytes from byte 1049600"), "{message}");
    assert_eq!(verify(folder.path(), &mut go).unwrap_err().to_string(), message);
    let options = LoaderOptions { verify: Verify::Never, ..LoaderOptions::new(1, n_tokens - 1) };
    Loader::open(&[folder.path()], options).unwrap().next_batch().unwrap();
}

#[test]
fn first_touch_trusts_what_it_has_checked_and_always_does_not() {
    for (when, noticed) in [(Verify::FirstTouch, false), (Verify::Always, true)] {
        let (folder, _) = folder(300, 1_000, &[vec![7; 500]]);
        let options = LoaderOptions { verify: when, prefetch_batches: 0, ..LoaderOptions::new(1, 500) };
        let mut loader = Loader::open(&[folder.path()], options).unwrap();
        loader.next_batch().unwrap();
        let path = folder.path().join("train_000000.bin");
        let file = fs::File::options().write(true).open(path).unwrap();
        platform::write_all_at(&file, &[9], 1_200).unwrap();
        assert_eq!(loader.next_batch().is_err(), noticed);
    }
}
