//! Every kind of file, and what is refused.

#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn file(name: &str, content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    (folder, path)
}

type Found = Vec<(u64, u64, Vec<u8>)>; // offset, line, document

fn gather(into: &mut Found) -> impl FnMut(Place, &[u8]) -> Result<()> {
    |place, text| {
        into.push((place.offset, place.line, text.to_vec()));
        Ok(())
    }
}

fn documents(path: &Path) -> Result<Found> {
    let mut found = Vec::new();
    for_each_document(path, "text", gather(&mut found)).map(|()| found)
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
    let long = "x".repeat((1 << 18) - 3); // the second separator lies across the end of the first block
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

#[test]
fn json_faults_name_file_and_line() {
    for (line, expected) in [
        ("{\"body\": \"b\", \"id\": 1}", "line 2: no field \"text\"; there are [\"body\", \"id\"]"),
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
    let failed = for_each_document(&path, "text", |_, _| Err(Error::Interrupted));
    assert!(matches!(failed, Err(Error::Interrupted)));
}

#[test]
fn other_kinds_are_refused_by_name() {
    for name in ["a.jsonl.gz", "a.parquet", "a.ZST"] {
        let (_folder, path) = file(name, "anything");
        let message = documents(&path).unwrap_err().to_string();
        assert!(message.contains("supported are plain text (.txt) and .jsonl"), "{message}");
    }
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
    let names: Vec<_> = files.iter().map(|file| file.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["b.txt", "a/b/c.jsonl", "a/z.txt", "b.txt"]);
    let missing = expand(&[folder.path().join("missing")]).unwrap_err().to_string();
    assert!(missing.contains("missing: No such file"), "{missing}");
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(expand(&[empty]).unwrap_err().to_string().contains("holds no files"));
}
