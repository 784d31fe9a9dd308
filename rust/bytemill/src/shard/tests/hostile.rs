//! Forged bytes: each is refused with a reason, none causes a panic.

use proptest::prelude::*;

use super::*;
use crate::platform::symlink;
use crate::shard::checksum::sha256_of_bytes;

/// Replace text in the manifest and write a matching root hash.
fn forge(folder: &Path, from: &str, to: &str) {
    let path = folder.join(MANIFEST_NAME);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    let text = text.replacen(from, to, 1);
    let body = &text[..text.len() - 68];
    fs::write(path, format!("{body}{}\"\n}}\n", sha256_of_bytes(body.as_bytes()))).unwrap();
}

fn refusal(from: &str, to: &str) -> String {
    let (folder, _) = folder(300, 100, &documents(9, 255));
    forge(folder.path(), from, to);
    Manifest::read(folder.path()).unwrap_err().to_string()
}

#[test]
fn a_forged_manifest_is_refused_for_what_is_wrong_with_it() {
    let (folder, _) = folder(300, 100, &documents(9, 255));
    forge(folder.path(), "\"n_vocab\": 300", "\"n_vocab\": 301");
    Manifest::read(folder.path()).unwrap(); // the forged hash is accepted
    for (from, to, reason) in [
        ("\"version\": 1", "\"version\": 2", "version 2"),
        ("bytemill-shards", "other-shards", "other-shards"),
        ("\"uint16\"", "\"uint32\"", "dtype"),
        ("\"n_vocab\": 300", "\"n_vocab\": 70000", "dtype"),
        ("\"n_vocab\": 300", "\"n_vocab\": 0", "n_vocab 0"),
        ("\"n_vocab\": 300", "\"n_vocab\": 299", "end_of_text is 299"),
        ("\"tokens\": 100", "\"tokens\": 0", "0 tokens"),
        ("\"tokens\": 100", "\"tokens\": 100000001", "100000001 tokens"),
        ("\"tokens\": 100", "\"tokens\": 18446744073709551615", "18446744073709551615 tokens"),
        ("\"tokens\": 100", "\"tokens\": 99", "1224 bytes for 99 tokens"),
        ("\"max_id\": 299", "\"max_id\": 300", "largest id 300"),
        ("train_000000.bin", "../train_000000.bin", "stay in the folder"),
        ("train_000000.bin", "/etc/train_000000.bin", "stay in the folder"),
        ("train_000000.bin", "a\\\\b.bin", "stay in the folder"),
        ("train_000000.bin", "passwd", "end in .bin"),
        ("train_000001.bin", "train_000000.bin", "train_000000.bin"),
        ("\"number\": 1", "\"number\": 7", "number 7, expected 1"),
        ("\"inputs\": []", "\"inputs\": [], \"more\": 1", "unknown field"),
        ("\"tokens\": 100", "\"tokens\": -1", "invalid value"),
    ] {
        let message = refusal(from, to);
        assert!(message.contains(reason) && message.contains(MANIFEST_NAME), "{from} -> {to}: {message}");
    }
}

#[test]
fn deep_nesting_and_oversize_are_refused() {
    let (folder, _) = folder(300, 100, &documents(3, 255));
    let path = folder.path().join(MANIFEST_NAME);
    fs::write(&path, "[".repeat(1_000_000)).unwrap();
    Manifest::read(folder.path()).unwrap_err();
    fs::File::create(&path).unwrap().set_len((64 << 20) + 1).unwrap();
    let message = Manifest::read(folder.path()).unwrap_err().to_string();
    assert!(message.contains("67108864 bytes"), "{message}");
}

/// Such a manifest used to be written at the end of all the work, and every reader then refused it.
#[test]
fn a_manifest_too_large_to_be_read_is_not_written() {
    let (folder, _) = folder(300, 100, &documents(3, 255));
    let mut manifest = Manifest::read(folder.path()).unwrap();
    let (name, sha256) = ("x".repeat(64 << 20), String::new());
    manifest.inputs = vec![InputEntry { name, bytes: 0, sha256 }];
    let message = manifest.write(folder.path()).unwrap_err().to_string();
    assert!(message.contains("1 inputs and") && message.contains("expected at most 67108864"), "{message}");
    verify(folder.path(), &mut go).unwrap();
}

#[test]
#[cfg_attr(windows, ignore = "Windows lets only administrators and developers make links")]
fn a_link_that_leaves_the_folder_is_not_followed() {
    let (elsewhere, _) = folder(300, 100, &documents(9, 255));
    for name in ["train_000000.bin", "train_000000.crc", "train_000000.idx"] {
        let (folder, _) = folder(300, 100, &documents(9, 255));
        fs::remove_file(folder.path().join(name)).unwrap();
        symlink(elsewhere.path().join(name), folder.path().join(name)).unwrap();
        let message = verify(folder.path(), &mut go).unwrap_err().to_string();
        assert!(message.contains("outside its folder"), "{message}");
    }
}

/// These files were read as a whole, with any size, before their checksums were checked.
#[test]
fn side_files_of_another_size_are_not_read() {
    for ending in ["idx", "crc"] {
        let (folder, _) = folder(300, 100, &documents(9, 255));
        let path = folder.path().join(format!("train_000000.{ending}"));
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let message = verify(folder.path(), &mut go).unwrap_err().to_string();
        assert!(message.contains("1099511627776 bytes, expected"), "{message}");
    }
}

#[test]
fn shards_that_changed_places_are_noticed() {
    let (folder, _) = folder(300, 100, &documents(9, 255));
    let path = |name: &str| folder.path().join(name);
    fs::rename(path("train_000000.bin"), path("x")).unwrap();
    fs::rename(path("train_000001.bin"), path("train_000000.bin")).unwrap();
    fs::rename(path("x"), path("train_000001.bin")).unwrap();
    verify(folder.path(), &mut go).unwrap_err();
    assert!(read_in_order(folder.path(), 10).1.is_err());
}

#[test]
fn mutated_files_never_panic() {
    let (folder, _) = folder(300, 400, &documents(20, 255));
    let files = contents(folder.path());
    let mut random = random();
    for _ in 0..500 {
        let (path, good) = &files[random(files.len())];
        let mut bytes = good.clone();
        for _ in 0..=random(8) {
            let at = random(bytes.len());
            bytes[at] = random(256) as u8;
        }
        bytes.truncate(good.len() - random(4) * random(good.len()) / 4);
        fs::write(path, &bytes).unwrap();
        assert_eq!(verify(folder.path(), &mut go).is_ok(), bytes == *good);
        let _ = read_in_order(folder.path(), 5);
        fs::write(path, good).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let path = Path::new("x");
        prop_assert!(Header::decode(path, &bytes).is_err());
        prop_assert!(Index::decode(path, &bytes).is_err());
        prop_assert!(BlockChecksums::decode(path, &bytes).is_err());
    }

    /// With all checksums adjusted, the index check itself must hold.
    #[test]
    fn any_index_that_decodes_is_one_that_encode_writes(lengths in prop::collection::vec(1_u32..1_000, 0..50), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = Index { width: TokenWidth::Uint32, lengths }.encode();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(index) = Index::decode(Path::new("x"), &bytes) {
            prop_assert_eq!(index.encode(), bytes);
        }
    }
}
