//! Every kind of file, and what is refused.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::error::Error;
use crate::platform::symlink;
use flate2::{Compression, write::GzEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(super) fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

pub(super) type Found = Vec<(u64, u64, Vec<u8>)>; // offset, line, document

fn gather(into: &mut Found) -> impl FnMut(Place, &[u8]) -> Result<()> {
    |place, text| {
        into.push((place.offset, place.line, text.to_vec()));
        Ok(())
    }
}

pub(super) fn documents(path: &Path) -> Result<Found> {
    let mut found = Vec::new();
    for_each_document(path, Reading::default(), gather(&mut found)).map(|()| found)
}

#[test]
fn a_text_is_one_document() {
    let (_folder, path) = file("a.txt", b"one\ntwo\xFF");
    assert_eq!(documents(&path).unwrap(), [(0, 1, b"one\ntwo\xFF".to_vec())]);
    let (_folder, path) = file("empty.txt", "");
    assert_eq!(documents(&path).unwrap(), []);
}

#[test]
fn lines_keep_their_newlines() {
    let (_folder, path) = file("a.txt", "one\n\ntwo");
    let mut found = Vec::new();
    for_each_line(&path, gather(&mut found)).unwrap();
    assert_eq!(found, [(0, 1, b"one\n".to_vec()), (4, 2, b"\n".to_vec()), (5, 3, b"two".to_vec())]);
}

#[test]
fn separators_belong_to_no_document_wherever_blocks_end() {
    let long = "x".repeat((1 << 18) - 3); // the second separator crosses the end of the first block
    let (_folder, path) = file("a.txt", format!("<|end|>{long}\n<|end|>b<|end|><|end|>"));
    let mut found = Vec::new();
    for_each_separated(&path, b"<|end|>", gather(&mut found)).unwrap();
    let length = long.len() as u64;
    assert_eq!(found, [(7, 1, format!("{long}\n").into_bytes()), (15 + length, 2, b"b".to_vec())]);
    assert!(for_each_separated(&path, b"", |_, _| Ok(())).is_err());
}

#[test]
fn json_lines_give_their_field() {
    let lines = "{\"id\": [1, {\"text\": 0}], \"text\": \"caf\u{e9}\"}\n\n{\"text\": \"a\\n\\ud83d\\ude00\\ud800\"}";
    let (_folder, path) = file("a.JSONL", lines);
    let expected = [(0, 1, "caf\u{e9}".into()), (43, 3, "a\n\u{1F600}\u{FFFD}".into())];
    assert_eq!(documents(&path).unwrap(), expected);
}

/// The two bytes after a lone ED were treated as part of half a surrogate pair.
#[test]
fn bytes_that_are_no_text_take_nothing_with_them() {
    for (content, expected) in [
        (&b"\xED\xC3\xA9"[..], &b"\xED\xC3\xA9"[..]),
        (b"\xED\xA0\x80\xED\xED\xBF\xBF", b"\xEF\xBF\xBD\xED\xEF\xBF\xBD"),
        (b"\xED\xA0xy", b"\xED\xA0xy"),
        (b"\xED\xA0", b"\xED\xA0"),
    ] {
        let (_folder, path) = file("a.jsonl", [b"{\"text\": \"", content, b"\"}"].concat());
        assert_eq!(documents(&path).unwrap(), [(0, 1, expected.to_vec())]);
    }
}

#[test]
fn json_faults_name_file_and_line() {
    for (line, expected) in [
        ("{\"body\": \"b\", \"id\": 1}", "line 2: no field \"text\"; the fields are [\"body\", \"id\"]"),
        ("{\"text\": 5}", "line 2: invalid type: integer `5`, expected a string in field \"text\""),
        ("[1]", "line 2: invalid type: sequence, expected an object with the text in field \"text\""),
        ("{\"text\": \"b", "line 2: EOF while parsing a string (column 11)"),
        ("{\"text\": \"b\"} {}", "line 2: trailing characters (column 15)"),
    ] {
        let (_folder, path) = file("a.jsonl", format!("{{\"text\": \"a\"}}\n{line}"));
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{}: {expected}", path.display())), "{message}");
    }
}

#[test]
fn the_callers_failure_ends_reading() {
    let (_folder, path) = file("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\nnot JSON");
    let failed = for_each_document(&path, Reading::default(), |_, _| Err(Error::Interrupted));
    assert!(matches!(failed, Err(Error::Interrupted)));
}

#[test]
fn other_kinds_are_refused_by_name() {
    for name in ["a.tar.gz", "a.arrow.zst", "a.parquet.gz", "a.gz.ZST"] {
        let (_folder, path) = file(name, "anything");
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.contains("supported: .parquet, .arrow, plain text (.txt) and .jsonl"), "{message}");
    }
}

/// Return whether the error says that the file at `wanted` is missing.
fn is_missing(error: &Error, wanted: &Path) -> bool {
    matches!(error, Error::Io { path, source } if path == wanted && source.kind() == ErrorKind::NotFound)
}

#[test]
fn folders_are_walked_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b.txt", "a/z.txt", "a/b/c.jsonl", ".hidden/x.txt", "a/.x"] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "text").unwrap();
    }
    let files = expand(&[folder.path().join("b.txt"), folder.path().to_owned()]).unwrap();
    let names: Vec<_> = files.iter().map(|file| file.strip_prefix(folder.path()).unwrap()).collect();
    assert_eq!(names, ["b.txt", "a/b/c.jsonl", "a/z.txt", "b.txt"].map(Path::new));
    let missing = folder.path().join("missing");
    assert!(is_missing(&expand(&[&missing]).unwrap_err(), &missing));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(expand(&[empty]).unwrap_err().to_string().contains("contains no files"));
}

/// The error named the given folder, which exists.
#[test]
#[cfg_attr(windows, ignore = "Windows lets only administrators and developers make links")]
fn what_is_missing_inside_a_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("a")).unwrap();
    symlink("nowhere", folder.path().join("a/link.txt")).unwrap();
    assert!(is_missing(&expand(&[folder.path()]).unwrap_err(), &folder.path().join("a/link.txt")));
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(content).unwrap();
    packed.finish().unwrap()
}

pub(super) fn zstandard(content: &[u8]) -> Vec<u8> {
    compress_to_vec(content, CompressionLevel::Fastest)
}

#[test]
fn compressed_files_are_read_as_what_they_hold() {
    let lines: Vec<_> = (0..40_000).map(|number| format!("{{\"text\": \"row {number}\"}}\n")).collect();
    let lines = lines.concat();
    let (first, second) = lines.split_at(300_000);
    let skipped_frame = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
    for (name, parts) in [
        ("a.jsonl.gz", vec![gzip(first.as_bytes()), gzip(second.as_bytes())]),
        ("a.jsonl.zst", vec![zstandard(first.as_bytes()), skipped_frame.into(), zstandard(second.as_bytes())]),
    ] {
        let (_folder, path) = file(name, parts.concat());
        let found = documents(&path).unwrap();
        assert_eq!(found.len(), 40_000, "{name}");
        assert_eq!((found[39_999].1, &*found[39_999].2), (40_000, &b"row 39999"[..]), "{name}");
    }
    for (name, packed) in [("a.txt.gz", gzip(b"one;two")), ("a.ZST", zstandard(b"one;two")), ("a.gz", gzip(b"one;two"))]
    {
        let (_folder, path) = file(name, packed);
        assert_eq!(documents(&path).unwrap(), [(0, 1, b"one;two".to_vec())], "{name}");
        let mut found = Vec::new();
        let reading = Reading { separator: Some(b";"), ..Reading::default() };
        for_each_document(&path, reading, gather(&mut found)).unwrap();
        assert_eq!(found, [(0, 1, b"one".to_vec()), (4, 1, b"two".to_vec())], "{name}");
    }
}

#[test]
fn the_error_for_half_a_compressed_file_gives_its_end() {
    let content: Vec<u8> =
        (0..200_000u32).flat_map(|number| (number.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
    for (name, whole) in [("a.gz", gzip(&content)), ("a.zst", zstandard(&content))] {
        for length in [3, 20, whole.len() / 2, whole.len() - 1] {
            let (_folder, path) = file(name, &whole[..length]);
            let message = documents(&path).unwrap_err().to_string();
            let expected = format!("{name}: ends at byte {length} in the middle of its compressed content (after ");
            assert!(message.contains(&expected), "{message}");
        }
    }
}

#[test]
fn damage_in_a_compressed_file_is_an_error() {
    for (name, mut packed) in [("a.gz", gzip(b"some text")), ("a.zst", zstandard(&b"some text".repeat(9)))] {
        let checksum = if name == "a.gz" { packed.len() - 8 } else { packed.len() - 1 };
        packed[checksum] ^= 1;
        let (_folder, path) = file(name, &packed);
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.contains("compressed content is damaged before byte "), "{message}");
        let (_folder, path) = file(name, "not compressed at all");
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.contains("compressed content is damaged before byte "), "{message}");
    }
}

#[test]
fn a_file_that_grows_a_thousandfold_is_refused() {
    let packed = zstandard(&vec![0; 20 << 20]);
    assert!(packed.len() < 3_000, "{}", packed.len());
    let (_folder, path) = file("bomb.txt.zst", &packed);
    let limit = packed.len() * 1_000 + (16 << 20);
    let message = documents(&path).unwrap_err().to_string();
    assert!(
        message.contains(&format!("unpacks to more than {limit} bytes (1000 times its size plus 16 MiB)")),
        "{message}"
    );
}

/// Return the pieces of a file, split as `cut` says, as offset, text and whether the document ends.
fn pieces(
    path: &Path,
    reading: Reading,
    cut: impl FnMut(&[u8]) -> Result<Option<usize>>,
) -> Result<Vec<(u64, Vec<u8>, bool)>> {
    let mut pieces = Vec::new();
    for_each_piece(path, reading, cut, |piece| {
        pieces.push((piece.offset, piece.text.to_vec(), piece.ends));
        Ok(())
    })?;
    Ok(pieces)
}

#[test]
fn pieces_are_cut_where_the_caller_says() {
    let content = b"0123456789".repeat(300_000);
    let (_folder, path) = file("a.txt.gz", gzip(&content));
    let mut asked = Vec::new();
    let cut = |text: &[u8]| {
        asked.push(text.len());
        Ok((text.len() > 2_000_000).then_some(1_500_000)) // of 3,000,000; then `cut` is called once for the rest
    };
    let pieces = pieces(&path, Reading::default(), cut).unwrap();
    assert_eq!(asked, [1 << 20, 2 << 20, 1 << 20]);
    let lengths: Vec<_> = pieces.iter().map(|(offset, text, ends)| (*offset, text.len(), *ends)).collect();
    assert_eq!(lengths, [(0, 1_500_000, false), (1_500_000, 1_500_000, true)]);
    assert_eq!(pieces.into_iter().flat_map(|piece| piece.1).collect::<Vec<_>>(), content);
}

/// A document between separators used to be held in memory as a whole.
#[test]
fn documents_between_separators_come_in_pieces() {
    let long = "a few words ".repeat(200_000);
    let separator = "<|end|>";
    let content = [&*long, "b", "", &long, "<|en", "<", &long].join(separator) + separator;
    let (_folder, path) = file("a.txt", &content);
    let reading = Reading { separator: Some(separator.as_bytes()), ..Reading::default() };
    let mut most = 0;
    let cut = |text: &[u8]| {
        most = most.max(text.len());
        Ok(memchr::memrchr(b' ', text))
    };
    let mut found: Vec<(u64, String)> = Vec::new();
    let mut has_begun = false;
    for (offset, text, ends) in pieces(&path, reading, cut).unwrap() {
        let text = String::from_utf8(text).unwrap();
        match found.last_mut() {
            Some(last) if has_begun => last.1 += &text,
            _ => found.push((offset, text)),
        }
        has_begun = !ends;
    }
    assert!(!has_begun && most <= 2 << 20, "{most}");
    let mut expected = Vec::new();
    for_each_separated(&path, separator.as_bytes(), |place, text| {
        expected.push((place.offset, String::from_utf8(text.to_vec()).unwrap()));
        Ok(())
    })
    .unwrap();
    assert!(found == expected && found.len() == 6);
    let empty = Reading { separator: Some(b""), ..Reading::default() };
    pieces(&path, empty, |_| Ok(None)).unwrap_err();
}

/// A stretch that cannot be split used to be read as a whole, with any memory limit.
#[test]
fn a_stretch_or_a_row_beyond_the_limit_is_refused_before_it_is_read() {
    let limited = |limit| Reading { max_memory: Some(limit), ..Reading::default() };
    let (_folder, path) = file("a.txt", vec![b'a'; 3 << 20]);
    let mut most = 0;
    let none = |text: &[u8]| {
        most = most.max(text.len());
        Ok(None)
    };
    let message = pieces(&path, limited(8 << 20), none).unwrap_err().to_string();
    assert!(message.starts_with("max_memory is 8388608, expected at least 8388612: ") && most == 2 << 20, "{message}");
    assert!(
        message.contains(
            "a.txt has a stretch without a place to split the text (from byte 0) of 2097153 bytes or more; or split it"
        ),
        "{message}"
    );
    assert_eq!(pieces(&path, limited(13 << 20), |_| Ok(None)).unwrap().len(), 1);

    let row = format!("{{\"text\": \"{}\"}}\n", "a".repeat(3 << 20));
    let rows = "{\"text\": \"b\"}\n".to_owned() + &row;
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let packed = match name.rsplit_once('.').unwrap().1 {
            "gz" => gzip(rows.as_bytes()),
            "zst" => zstandard(rows.as_bytes()),
            _ => rows.clone().into_bytes(),
        };
        let (_folder, path) = file(name, packed);
        let read = |limit| {
            let mut n_rows = 0;
            let read = for_each_document(&path, limited(limit), |_, _| {
                n_rows += 1;
                Ok(())
            });
            (n_rows, read)
        };
        let (n_rows, refused) = read(4 * (row.len() as u64 - 1));
        let message = refused.unwrap_err().to_string();
        assert!(n_rows == 1 && message.contains("has a row in line 2 of 3145741 bytes or more"), "{message}");
        let (n_rows, accepted) = read(4 * row.len() as u64);
        accepted.unwrap();
        assert_eq!(n_rows, 2);
    }
}
