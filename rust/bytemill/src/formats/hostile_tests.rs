//! Damaged or malicious files: each is refused with a reason, or read as a complete tokenizer.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Fragments that often break parsers.
const PIECES: [&str; 22] = [
    "4294967295",
    "4294967296",
    "16777216",
    "-1",
    "1e999",
    "NaN",
    "0.5",
    "null",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "\n",
    " ",
    "\u{feff}",
    "\u{144}",
    "((",
];

/// One change of a file's bytes.
#[derive(Clone, Debug)]
enum Damage {
    Byte(Index, u8),
    Insert(Index, &'static str),
    Replace(Index, &'static str),
    Repeat(Index, Index),
    Delete(Index, Index),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let piece = || prop::sample::select(PIECES.to_vec());
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (any::<Index>(), piece()).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), piece()).prop_map(|(at, piece)| Damage::Replace(at, piece)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Delete(from, to)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn suffer(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    let span = |from: &Index, to: &Index| {
        let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
        from.min(to)..from.max(to).min(from.min(to) + 40)
    };
    match damage {
        Damage::Byte(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Insert(at, piece) => drop(bytes.splice(at.index(bytes.len())..at.index(bytes.len()), piece.bytes())),
        Damage::Replace(at, piece) => {
            let at = at.index(bytes.len());
            // A whole number or word, so that the rest still parses.
            let end = bytes[at..].iter().position(|byte| !byte.is_ascii_alphanumeric()).map_or(bytes.len(), |n| at + n);
            drop(bytes.splice(at..end, piece.bytes()));
        }
        Damage::Repeat(from, to) => {
            let span = span(from, to);
            let again = bytes[span.clone()].to_vec();
            drop(bytes.splice(span.start..span.start, again));
        }
        Damage::Delete(from, to) => drop(bytes.drain(span(from, to))),
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

/// Create a folder with one tokenizer in every format; return (the file to damage, the path to load).
fn every_format() -> (TempDir, Vec<(PathBuf, PathBuf)>) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let vocab =
        Vocab::from_merges(&[(0x20, 0x61), (0x62, 0x63), (256, 257), (0xC3, 0xA9)], &["<|end|>", "<é>"]).unwrap();
    let [gpt2, regex] = [Some("gpt2"), Some(r"\w+|\W+")].map(|pattern| Splitter::new(pattern).unwrap());
    save(&vocab, &gpt2, &path("known.json"), Format::HuggingFace).unwrap();
    save(&vocab, &regex, &path("regex.json"), Format::HuggingFace).unwrap();
    save(&vocab, &regex, &path("readable.json"), Format::Readable).unwrap();
    save(&vocab, &gpt2, &path("ranks.tiktoken"), Format::Tiktoken).unwrap();
    save(&vocab, &gpt2, &path("gpt2"), Format::Gpt2).unwrap();
    fs::write(path("minbpe.model"), "minbpe v1\n\\w+|\\W+\n1\n<|end|> 1000\n97 97\n256 98\n257 256\n").unwrap();
    let alone = ["known.json", "regex.json", "readable.json", "ranks.tiktoken", "minbpe.model"].map(&path);
    let mut files: Vec<_> = alone.into_iter().map(|path| (path.clone(), path)).collect();
    files.extend([path("gpt2/vocab.json"), path("gpt2/merges.txt")].map(|file| (file, path("gpt2"))));
    (folder, files)
}

fn load_tiktoken_too(path: &Path) -> Result<(Vocab, Splitter)> {
    let pattern = if path.extension().is_some_and(|ending| ending == "tiktoken") {
        PatternChoice::Given(Some("gpt2"))
    } else {
        PatternChoice::Auto
    };
    load(path, pattern, None)
}

/// Check that a tokenizer that was read is complete: saving and loading it gives the same one.
fn assert_comes_back(vocab: &Vocab, splitter: &Splitter) {
    let (again, again_splitter) = from_readable(&to_readable(vocab, splitter).unwrap()).unwrap();
    assert_eq!(fingerprint(&again, &again_splitter), fingerprint(vocab, splitter));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_damaged_file_is_refused_or_read_whole(which in any::<Index>(), damages in prop::collection::vec(damage(), 1..4)) {
        let (_folder, files) = every_format();
        let (file, loaded) = which.get(&files);
        let mut bytes = fs::read(file).unwrap();
        for damage in &damages {
            suffer(&mut bytes, damage);
        }
        fs::write(file, bytes).unwrap();
        match load_tiktoken_too(loaded) {
            Ok((vocab, splitter)) => assert_comes_back(&vocab, &splitter),
            Err(error) => {
                prop_assert!(!matches!(error, Error::Io { .. }), "{error}");
                prop_assert!(error.to_string().len() < 10_000);
            }
        }
    }
}

#[test]
fn every_format_is_read_before_it_is_damaged() {
    let (_folder, files) = every_format();
    for (_, path) in files {
        let (vocab, splitter) = load_tiktoken_too(&path).unwrap();
        assert_comes_back(&vocab, &splitter);
    }
}

fn changed(from: &str, to: &str) -> Result<(Vocab, Splitter)> {
    let (_folder, files) = every_format();
    let path = &files[1].0;
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
    load(path, PatternChoice::Auto, None)
}

#[test]
fn ids_that_would_take_gigabytes_are_refused() {
    for id in ["4294967295", "16777216", "4294967296", "1e9", "-1", "0.5"] {
        let message = changed("\"A\":65,", &format!("\"A\":{id},")).unwrap_err().to_string();
        assert!(message.contains("expected"), "{message}");
    }
}

#[test]
fn messages_that_quoted_whole_files_are_short() {
    let long = "\u{7f}".repeat(200_000);
    for (from, to) in [
        ("\"A\":65,", format!("\"A\":\"{long}\",")),
        ("\"A\":65,", format!("\"{long}\":65,")),
        ("\"Isolated\"", format!("\"{long}\"")),
        ("\"Regex\":\"", format!("\"Regex\":\"({long}")),
        ("\"lstrip\":false", format!("\"lstrip\":\"{long}\"")),
    ] {
        let message = changed(from, &to).unwrap_err().to_string();
        assert!(message.len() < 10_000, "{} bytes", message.len());
    }
}

#[test]
fn settings_too_large_to_be_parsed_are_refused() {
    let many = format!("[{}0]", "0,".repeat(1 << 20));
    for (from, to) in [
        ("\"pre_tokenizer\":", format!("\"pre_tokenizer\":{many},\"x\":")),
        ("\"decoder\":", format!("\"decoder\":{many},\"x\":")),
        ("\"normalizer\":null", format!("\"normalizer\":{many}")),
    ] {
        let message = changed(from, &to).unwrap_err().to_string();
        assert!(message.contains("expected at most 1048576") || message.contains("normalizer"), "{message}");
    }
}

#[test]
fn a_special_token_that_takes_for_ever_to_look_for_is_refused() {
    let message = Vocab::from_merges(&[], &["<é>", &"ab".repeat(50_000)]).unwrap_err().to_string();
    assert!(message.contains("special token 1 has 100000 bytes, expected at most 1024"), "{message}");
}

/// Twenty-one such merges, 300 bytes, took 12 seconds to load, and each additional one doubles that.
#[test]
fn merges_that_double_again_and_again_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.model");
    let doubling = |n: u32| (256..256 + n).map(|id| format!("{id} {id}\n")).collect::<Vec<_>>().concat();
    for (n, is_refused) in [(8, false), (26, true), (100, true)] {
        fs::write(&path, format!("minbpe v1\n\n0\n97 97\n{}", doubling(n))).unwrap();
        let message = load(&path, PatternChoice::Auto, None).map_err(|error| error.to_string());
        assert_eq!(message.is_err(), is_refused);
        assert!(!is_refused || message.unwrap_err().contains("bytes, expected at most 1000 times its size"));
    }
}

#[test]
fn a_regex_that_is_one_of_our_names_is_not_taken_for_the_pattern() {
    let (_folder, files) = every_format();
    let mut file: serde_json::Value = serde_json::from_str(&fs::read_to_string(&files[1].0).unwrap()).unwrap();
    *file.pointer_mut("/pre_tokenizer/pretokenizers/0/pattern/Regex").unwrap() = "gpt2".into();
    fs::write(&files[1].0, file.to_string()).unwrap();
    let (_, splitter) = load(&files[1].0, PatternChoice::Auto, None).unwrap();
    assert_eq!((splitter.name(), splitter.pattern()), (None, Some("(?:gpt2)")));
}
