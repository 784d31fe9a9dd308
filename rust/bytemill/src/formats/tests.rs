//! Each format there and back, and what it refuses.
#![allow(clippy::unwrap_used)]

use super::*;
use std::fs;

const MERGES: [(u32, u32); 4] = [(0x20, 0x61), (0x62, 0x63), (256, 257), (0xC3, 0xA9)];

fn sample(pattern: Option<&str>) -> (Vocab, Splitter) {
    (Vocab::from_merges(&MERGES, &["<|endoftext|>", "<é>"]).unwrap(), Splitter::new(pattern).unwrap())
}

fn load_text(name: &str, text: &str) -> Result<(Vocab, Splitter)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    load(&path, PatternChoice::Auto, None)
}

fn refusal(text: &str) -> String {
    load_text("file", text).unwrap_err().to_string()
}

#[test]
fn what_holds_everything_comes_back_with_the_same_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::HuggingFace, Format::Readable] {
        for pattern in [None, Some("gpt2"), Some("cl100k"), Some("o200k"), Some(r"\w+|\W+")] {
            let (vocab, splitter) = sample(pattern);
            let path = folder.path().join("file");
            save(&vocab, &splitter, &path, format).unwrap();
            let (read, read_splitter) = load(&path, PatternChoice::Auto, None).unwrap();
            assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter), "{format:?} {pattern:?}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no file is left beside");
}

#[test]
fn gpt2_files_come_back_with_their_special_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let (vocab, splitter) = sample(Some("gpt2"));
    save(&vocab, &splitter, folder.path(), Format::Gpt2).unwrap();
    let (read, read_splitter) = load(folder.path(), PatternChoice::Auto, None).unwrap();
    assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter));
    let given = [("<|endoftext|>", None), ("<é>", Some(261)), ("<new>", None)];
    let (read, _) = load(folder.path(), PatternChoice::Auto, Some(&given)).unwrap();
    assert_eq!(read.id_of(b"<new>"), Some(262));
    let wrong = load(folder.path(), PatternChoice::Auto, Some(&[("<é>", Some(7))])).unwrap_err().to_string();
    assert!(wrong.contains("has id 261 for \"<é>\", not 7"), "{wrong}");
}

/// What a crash between the two renames leaves.
#[test]
fn the_two_files_of_two_vocabularies_are_refused_by_both_names() {
    let folders = [0, 1].map(|_| tempfile::tempdir().unwrap());
    let (old, splitter) = sample(Some("gpt2"));
    let new = Vocab::from_merges(&[(0x20, 0x61), (0x62, 0x64)], &[]).unwrap();
    for (folder, vocab) in folders.iter().zip([&old, &new]) {
        save(vocab, &splitter, folder.path(), Format::Gpt2).unwrap();
    }
    let [half, whole] = &folders;
    fs::copy(whole.path().join("merges.txt"), half.path().join("merges.txt")).unwrap();
    let error = load(half.path(), PatternChoice::Auto, None).unwrap_err();
    assert_eq!(error.kind(), crate::error::Kind::Format);
    let [vocab, merges] = ["vocab.json", "merges.txt"].map(|name| half.path().join(name).display().to_string());
    assert_eq!(
        error.to_string(),
        format!("{merges}: line 3: merge 1 makes \"bd\", which is no token in {vocab}: are the two of one vocabulary?")
    );
    save(&new, &splitter, half.path(), Format::Gpt2).unwrap();
    assert_eq!(load(half.path(), PatternChoice::Auto, None).unwrap().0.n_vocab(), 258);
}

/// The old `vocab.json` is not touched when `merges.txt` cannot be written, nor the other way round.
#[test]
fn neither_of_two_files_is_replaced_when_one_cannot_be() {
    for blocked in ["vocab.json", "merges.txt"] {
        let folder = tempfile::tempdir().unwrap();
        let (vocab, splitter) = sample(Some("gpt2"));
        save(&vocab, &splitter, folder.path(), Format::Gpt2).unwrap();
        let other = if blocked == "vocab.json" { "merges.txt" } else { "vocab.json" };
        let before = fs::read(folder.path().join(other)).unwrap();
        fs::remove_file(folder.path().join(blocked)).unwrap();
        fs::create_dir(folder.path().join(blocked)).unwrap();
        let grown = Vocab::from_merges(&[(0x20, 0x62)], &[]).unwrap();
        save(&grown, &splitter, folder.path(), Format::Gpt2).unwrap_err();
        assert_eq!(fs::read(folder.path().join(other)).unwrap(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no file is left beside");
    }
}

#[test]
fn tiktoken_files_come_back_when_pattern_and_special_tokens_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ranks.tiktoken");
    let (vocab, splitter) = sample(Some("cl100k"));
    save(&vocab, &splitter, &path, Format::Tiktoken).unwrap();
    let given = [("<|endoftext|>", None), ("<é>", None)];
    let (read, read_splitter) = load(&path, PatternChoice::Given(Some("cl100k")), Some(&given)).unwrap();
    assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter));
    let message = load(&path, PatternChoice::Auto, None).unwrap_err().to_string();
    assert!(message.contains("holds no pattern"), "{message}");
}

#[test]
fn tiktoken_is_not_written_where_it_would_encode_otherwise() {
    let (vocab, _) = sample(None);
    let tokens: Vec<_> = vocab.ordinary_tokens().map(|(id, bytes)| (bytes.to_vec(), id)).collect();
    let mut merges: Vec<_> = vocab.merges().collect();
    merges.swap(0, 1);
    let other_order = Vocab::from_tokens(&tokens, merges.iter().copied(), vec![], false).unwrap();
    let message = tiktoken::to_string(&other_order).unwrap_err().to_string();
    assert!(message.contains("order of ids"), "{message}");
    merges.retain(|(left, _)| *left != b" a");
    let unreachable = Vocab::from_tokens(&tokens, merges.iter().copied(), vec![], false).unwrap();
    let message = tiktoken::to_string(&unreachable).unwrap_err().to_string();
    assert!(message.contains("token 258, \" abc\""), "{message}");
}

#[test]
fn minbpe_models_are_read() {
    let text = "minbpe v1\n\n1\n<|end|> 1000\n97 97\n256 98\n";
    let (vocab, splitter) = load_text("m.model", text).unwrap();
    assert_eq!((vocab.token_bytes(257), vocab.id_of(b"<|end|>")), (Some(&b"aab"[..]), Some(1000)));
    assert_eq!(splitter.pattern(), None);
    assert!(refusal("minbpe v1\n\n0\n97 97\n300 1\n").contains("line 5: merge 1 joins id 300"));
    assert!(refusal("minbpe v1\n\n0\nx\n").contains("line 4: \"x\", expected two ids"));
    assert!(refusal("minbpe v1\n").contains("ends where the pattern"));
}

#[test]
fn damaged_tiktoken_lines_are_named() {
    assert!(refusal("YQ== 0\nYg==1\n").contains("line 2: \"Yg==1\", expected a token in base64"));
    assert!(refusal("YQ== +0\n").contains("line 1"));
    assert!(refusal("YQ== 0\n\nYg== 1\n").contains("line 2"));
    assert!(refusal("").contains("line 1"));
    let given = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, text).unwrap();
        load(&path, PatternChoice::Given(None), None).unwrap_err().to_string()
    };
    assert!(given("YQ== 0\nYg== 2\n").contains("no token has rank 1"));
    assert!(given("YQ== 0\nYQ== 1\n").contains("line 2: token 1, \"a\", has id 1, but"));
    assert!(given("YQ== 0\nYg== 1\n").contains("single byte 0x00"));
}

#[test]
fn settings_that_we_cannot_reproduce_are_refused_with_the_reason() {
    let (vocab, splitter) = sample(Some("cl100k"));
    let good: serde_json::Value = serde_json::from_str(&huggingface::to_string(&vocab, &splitter).unwrap()).unwrap();
    let changed = |pointer: &str, value: serde_json::Value| {
        let mut file = good.clone();
        *file.pointer_mut(pointer).unwrap() = value;
        file.to_string()
    };
    let cases = [
        ("/normalizer", serde_json::json!({"type": "NFC"}), "normalizer"),
        ("/model/type", "Unigram".into(), "model.type"),
        ("/model/dropout", 0.1.into(), "dropout"),
        ("/model/byte_fallback", true.into(), "byte_fallback"),
        ("/model/continuing_subword_prefix", "##".into(), "continuing_subword_prefix"),
        ("/decoder", serde_json::json!(null), "decoder"),
        ("/pre_tokenizer", serde_json::json!(null), "expected ByteLevel"),
        ("/pre_tokenizer/pretokenizers/0/behavior", "Removed".into(), "loses text"),
        ("/pre_tokenizer/pretokenizers/0/pattern", serde_json::json!({"Regex": r"\p{N}{1,3}+"}), "Oniguruma"),
        ("/pre_tokenizer/pretokenizers/1/add_prefix_space", serde_json::json!(null), "step 2"),
        ("/added_tokens/0/lstrip", true.into(), "lstrip"),
        ("/added_tokens/0/id", 5.into(), "has id 5, but 260"),
        ("/model/merges/1", "b".into(), "merge 1"),
        ("/model/merges/1", serde_json::json!(["b", "中"]), "stands for no byte"),
        ("/model/merges/1", "b q".into(), "merge 1 makes"),
        ("/model/merges/1", "bq z".into(), "merge 1 joins"),
        ("/model/vocab", serde_json::json!({"a": 0}), "merge 0 joins"),
        ("/model/vocab", serde_json::json!([]), "expected an object"),
    ];
    for (pointer, value, expected) in cases {
        let message = refusal(&changed(pointer, value));
        assert!(message.contains(expected), "{pointer}: {message}");
    }
    for (pointer, value) in [
        ("/model/merges/1", "b c".into()),
        ("/post_processor", serde_json::json!(null)),
        ("/model/unk_token", "<unk>".into()),
        ("/added_tokens/0/special", false.into()),
    ] {
        let (read, read_splitter) = load_text("f", &changed(pointer, value)).unwrap();
        assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter));
    }
}

#[test]
fn other_json_is_told_apart() {
    assert!(refusal("{\"a\": null}").contains("neither a tokenizer.json"));
    assert!(refusal("{\"a\": 1, \"format\": 2, \"model\": 3}").contains("without its merges"));
    assert!(refusal("{\"format\": \"x\"}").contains("missing field"));
    assert!(refusal("{").contains("EOF"));
    assert!(refusal("{\"model\": 1, \"pre_tokenizer\": ").contains("EOF"));
    let (vocab, splitter) = sample(None);
    let text = to_readable(&vocab, &splitter).unwrap();
    assert!(refusal(&text.replace("\"version\":1", "\"version\":2")).contains("version 2"));
    assert!(refusal(&text.replace("\"97\":\"61\"", "\"97\":\"6\"")).contains("token 97"));
    assert!(refusal(&text.replace("\"97\":\"61\"", "\"x\":\"61\"")).contains("expected an id"));
}

#[test]
fn any_prefix_of_a_file_is_read_or_refused() {
    let (vocab, splitter) = sample(Some("gpt2"));
    let texts =
        [to_readable(&vocab, &splitter), huggingface::to_string(&vocab, &splitter), tiktoken::to_string(&vocab)];
    for text in texts.map(Result::unwrap) {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(37) {
            assert!(load_text("f", &text[..end]).is_err());
        }
    }
}
