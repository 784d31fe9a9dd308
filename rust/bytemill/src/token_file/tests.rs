//! What is written, what is refused, and which files remain after an error.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::encode::Specials;
use std::fs;

fn written(texts: &[(&str, &str)], output: &str, width: Width, end: bool, threads: usize) -> Result<(u64, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = Tokenizer::from_merges(&[(b'a'.into(), b'b'.into())], Some("gpt2"), &["<end>"]).unwrap();
    let policy = tokenizer.special_policy(Specials::NONE, Specials::All).unwrap();
    let paths: Vec<PathBuf> = texts.iter().map(|(name, _)| folder.path().join(name)).collect();
    for (path, (_, text)) in paths.iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    let end_id = end.then_some(257);
    let options = TokenFileOptions { width, policy: &policy, end_id, reading: Reading::default(), threads };
    let output = folder.path().join(output);
    let count = encode_files(&tokenizer, &paths, &output, &options, &mut |_| ControlFlow::Continue(()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), texts.len() + usize::from(count.is_ok()));
    Ok((count?, fs::read(output).unwrap()))
}

#[test]
fn documents_come_in_order_with_an_end_after_each() {
    let texts = [("a.txt", "ab c"), ("empty.txt", ""), ("b.jsonl", "{\"text\": \"x\"}\n{\"text\": \"ab\"}\n")];
    let expected: Vec<u8> = [256_u16, 32, 99, 257, 120, 257, 256, 257].iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!(written(&texts, "out.bin", Width::Two, true, 2).unwrap(), (8, expected));
}

#[test]
fn a_long_text_in_pieces_is_the_text_as_one() {
    let long = "ab abab\ncab. \n".repeat(400_000);
    let one = written(&[("a.txt", &long)], "out.bin", Width::Four, false, 1).unwrap();
    assert_eq!(written(&[("a.txt", &long)], "out.bin", Width::Four, false, 3).unwrap(), one);
    let tokenizer = Tokenizer::from_merges(&[(b'a'.into(), b'b'.into())], Some("gpt2"), &[]).unwrap();
    let expected = tokenizer.encode_ordinary(&long).unwrap();
    assert_eq!(one, (expected.len() as u64, expected.iter().flat_map(|id| id.to_le_bytes()).collect()));
}

#[test]
fn an_error_leaves_no_files() {
    let refusal = |text: &str| written(&[("a.txt", text)], "out.bin", Width::Two, false, 1).unwrap_err().to_string();
    assert!(refusal("x <end>").contains("<end>"));
    assert!(narrowed(&[1, 65_536], 4).unwrap_err().to_string().starts_with("token id 65536 at position 5 does not"));
}

/// A special token used to be split if a text without line ends was divided between threads.
#[test]
fn special_tokens_are_found_where_a_text_could_be_cut() {
    let tokenizer = Tokenizer::from_merges(&[], Some("gpt2"), &["<字，字>"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [text, output] = ["a.txt", "out.bin"].map(|name| folder.path().join(name));
    fs::write(&text, "<字，字>".repeat(300_000)).unwrap();
    let allowing = tokenizer.special_policy(Specials::All, Specials::NONE).unwrap();
    assert_eq!(tokenizer.encode_file(&text, &allowing, 2).unwrap(), vec![256; 300_000]);
    let refusing = tokenizer.special_policy(Specials::NONE, Specials::All).unwrap();
    for (policy, count) in [(&allowing, Some(300_000)), (&refusing, None)] {
        let (width, reading) = (Width::Two, Reading::default());
        let options = TokenFileOptions { width, policy, end_id: None, reading, threads: 1 };
        let written =
            encode_files(
                &tokenizer,
                std::slice::from_ref(&text),
                &output,
                &options,
                &mut |_| ControlFlow::Continue(()),
            );
        assert_eq!(written.ok(), count);
    }
}

/// The place was counted from the start of the row instead of the text.
#[test]
fn the_error_for_invalid_utf8_gives_its_place() {
    let tokenizer = Tokenizer::from_merges(&[], Some("gpt2"), &[]).unwrap();
    let policy = tokenizer.special_policy(Specials::NONE, Specials::NONE).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, content, place) in [
        ("a.txt", &b"one;t\xFFwo"[..], "byte 5,"),
        ("b.txt", b"one;;\nt\xFFwo", "byte 7,"),
        ("a.jsonl", b"{\"text\": \"one\"}\n\n{\"text\": \"t\xFF\"}", "byte 1 of the text in line 3,"),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let separator = (name == "b.txt").then_some(&b";"[..]);
        let reading = Reading { separator, ..Reading::default() };
        let options = TokenFileOptions { width: Width::Two, policy: &policy, end_id: None, reading, threads: 1 };
        let output = folder.path().join("out.bin");
        let written = encode_files(&tokenizer, &[path], &output, &options, &mut |_| ControlFlow::Continue(()));
        let expected = format!("{name}: is not UTF-8 at {place} expected text");
        assert!(written.unwrap_err().to_string().ends_with(&expected), "{expected}");
    }
}

#[test]
fn numpys_header_has_its_size_whatever_the_count() {
    for n_ids in [0, 1, u64::MAX] {
        let header = npy_header(n_ids, Width::Two);
        assert_eq!((header.len(), header.last()), (NPY_HEADER_BYTES, Some(&b'\n')));
    }
}
