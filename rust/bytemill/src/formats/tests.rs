//! Round trips through each format, and the errors of each format.
#![allow(clippy::unwrap_used)]

use super::common::refuse_added;
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
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no other file is left");
}

/// The files that tokenizers 1.0 makes of ours: bytes are handled by the model, not by a step of `pre_tokenizer`.
#[test]
fn version_2_of_tokenizer_json_is_read_as_version_1() {
    let folder = tempfile::tempdir().unwrap();
    for pattern in [None, Some("gpt2"), Some("cl100k"), Some("o200k"), Some(r"\w+|\W+")] {
        let (vocab, splitter) = sample(pattern);
        let path = folder.path().join("file");
        save(&vocab, &splitter, &path, Format::HuggingFace).unwrap();
        let mut contents: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        contents["version"] = "2.0".into();
        contents["model"]["byte_level"] = true.into();
        contents["post_processor"] = serde_json::Value::Null;
        contents["decoder"] = serde_json::json!({"type": "ByteLevel"});
        let regex = splitter.oniguruma_pattern().unwrap();
        let split =
            serde_json::json!({"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": false});
        let forms = match regex {
            None => vec![serde_json::Value::Null],
            Some(_) => vec![split.clone(), serde_json::json!({"type": "Sequence", "pretokenizers": [split]})],
        };
        for form in forms {
            contents["pre_tokenizer"] = form;
            let (read, read_splitter) = load_text("file", &contents.to_string()).unwrap();
            assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter), "{pattern:?}");
        }
    }
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

/// The state after a crash between the two renames.
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
        format!(
            "{merges}: line 3: merge 1 produces \"bd\", which is not a token in {vocab}: do both files belong to the same vocabulary?"
        )
    );
    save(&new, &splitter, half.path(), Format::Gpt2).unwrap();
    assert_eq!(load(half.path(), PatternChoice::Auto, None).unwrap().0.n_vocab(), 258);
}

/// The old `vocab.json` is not touched when `merges.txt` cannot be written, and the reverse.
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
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no other file is left");
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
    assert!(message.contains("holds neither pattern"), "{message}");
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
    assert!(refusal("minbpe v1\n\n0\n97 97\n300 1\n").contains("line 5: merge 1 uses id 300"));
    assert!(refusal("minbpe v1\n\n0\nx\n").contains("line 4: \"x\", expected two ids"));
    assert!(refusal("minbpe v1\n").contains("ends before the pattern"));
}

#[test]
fn damaged_tiktoken_lines_are_named() {
    assert!(refusal("YQ== 0\nYg==1\n").contains("line 2: \"Yg==1\", expected a token in base64"));
    assert!(refusal("YQ== +0\n").contains("line 1"));
    assert!(refusal("YQ== 0\n\nYg== 1\n").contains("line 2"));
    assert!(refusal("").contains("empty"));
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
        ("/normalizer", serde_json::json!({"type": "Lowercase"}), "normalizer \"Lowercase\""),
        ("/normalizer", serde_json::json!({"type": "Sequence", "normalizers": [{"type": "NFKC"}]}), "\"NFKC\""),
        ("/added_tokens/0/content", "".into(), "added token 260 is empty"),
        ("/added_tokens/0/content", "<new>".into(), "has id 260, and tokenizers gives it 262"),
        ("/model/type", "Unigram".into(), "model.type"),
        ("/model/dropout", 0.1.into(), "dropout"),
        ("/model/byte_fallback", true.into(), "byte_fallback"),
        ("/model/continuing_subword_prefix", "##".into(), "continuing_subword_prefix"),
        ("/decoder", serde_json::json!(null), "decoder"),
        ("/pre_tokenizer", serde_json::json!(null), "expected ByteLevel"),
        ("/pre_tokenizer/pretokenizers/0/behavior", "Removed".into(), "loses text"),
        ("/pre_tokenizer/pretokenizers/0/pattern", serde_json::json!({"Regex": r"\p{N}{1,3}+"}), "Oniguruma"),
        ("/pre_tokenizer/pretokenizers/1/add_prefix_space", serde_json::json!(null), "step 2"),
        ("/added_tokens/0/id", 5.into(), "has id 5, but 260"),
        ("/model/merges/1", "b".into(), "merge 1"),
        ("/model/merges/1", serde_json::json!(["b", "中"]), "does not represent a byte"),
        ("/model/merges/1", "b q".into(), "merge 1 produces"),
        ("/model/merges/1", "bq z".into(), "merge 1 uses"),
        ("/model/vocab", serde_json::json!({"a": 0}), "has id 260, and tokenizers gives it 1"),
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
        ("/normalizer", serde_json::json!({"type": "Sequence", "normalizers": []})),
    ] {
        let (read, read_splitter) = load_text("f", &changed(pointer, value)).unwrap();
        assert_eq!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter));
    }
}

#[test]
fn what_goes_around_merging_survives_every_format_that_can_hold_it() {
    let (vocab, splitter) = sample(Some("gpt2"));
    let mut file: serde_json::Value =
        serde_json::from_str(&huggingface::to_string(&vocab, &splitter).unwrap()).unwrap();
    file["normalizer"] = serde_json::json!({"type": "NFC"});
    file["added_tokens"][0]["special"] = false.into();
    file["added_tokens"][0]["rstrip"] = true.into();
    file["post_processor"] = serde_json::json!({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]});
    let (read, read_splitter) = load_text("f", &file.to_string()).unwrap();
    assert_ne!(fingerprint(&read, &read_splitter), fingerprint(&vocab, &splitter));
    let again = huggingface::to_string(&read, &read_splitter).unwrap();
    assert_eq!(again.trim_end(), file.to_string());
    let (readable, _) = load_text("f", &to_readable(&read, &read_splitter).unwrap()).unwrap();
    assert_eq!(huggingface::to_string(&readable, &read_splitter).unwrap(), again);
    for reason in [tiktoken::to_string(&read).unwrap_err(), refuse_added("gpt2", &read).unwrap_err()] {
        assert!(reason.to_string().contains("it cannot store a normalizer"), "{reason}");
    }
    file["normalizer"] = serde_json::Value::Null;
    let (read, _) = load_text("f", &file.to_string()).unwrap();
    assert!(tiktoken::to_string(&read).unwrap_err().to_string().contains("is found in any text"));
}

#[test]
fn a_file_without_post_processor_stays_without() {
    let (vocab, splitter) = sample(Some("gpt2"));
    let vocab = vocab.with_post_processor(Some("null".to_owned()));
    let (read, _) = load_text("f", &to_readable(&vocab, &splitter).unwrap()).unwrap();
    assert!(huggingface::to_string(&read, &splitter).unwrap().contains("\"post_processor\":null"));
}

#[test]
fn an_added_token_may_have_the_bytes_of_an_ordinary_one() {
    let (vocab, splitter) = (Vocab::from_merges(&[(35, 35)], &["##", "a"]).unwrap(), Splitter::new(None).unwrap());
    assert_eq!((vocab.id_of(b"##"), vocab.id_of(b"a"), vocab.n_vocab()), (Some(256), Some(97), 259));
    assert_eq!(vocab.special_tokens(), [("##".to_owned(), 257), ("a".to_owned(), 258)]);
    let (read, _) = load_text("f", &to_readable(&vocab, &splitter).unwrap()).unwrap();
    assert_eq!(fingerprint(&read, &splitter), fingerprint(&vocab, &splitter));
    let reason = huggingface::to_string(&vocab, &splitter).unwrap_err().to_string();
    assert!(reason.contains("added token 257, \"##\", is also how the ordinary token 256 is written"), "{reason}");
    // In tokenizer.json both share one id.
    let plain = Vocab::from_merges(&[(35, 35)], &[]).unwrap();
    let mut file: serde_json::Value =
        serde_json::from_str(&huggingface::to_string(&plain, &splitter).unwrap()).unwrap();
    file["added_tokens"] = serde_json::json!([{"id": 256, "content": "##", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}]);
    let (read, _) = load_text("f", &file.to_string()).unwrap();
    assert!(read.encodes_like(&plain) && read.is_special(256) && read.n_vocab() == 257);
    assert_eq!(huggingface::to_string(&read, &splitter).unwrap().trim_end(), file.to_string());
}

#[test]
fn ranks_with_a_gap_that_no_reader_can_fill_are_not_written() {
    let singles = (0..=255).map(|byte| vec![byte]).zip(0..);
    let tokens: Vec<_> = singles.chain([(b"ab".to_vec(), 258)]).collect();
    let vocab = Vocab::from_ranks(&tokens, vec![("<end>".to_owned(), 257)]).unwrap();
    assert!(tiktoken::to_string(&vocab).unwrap_err().to_string().contains("no token has id 256"));
    let filled = Vocab::from_ranks(&tokens, vec![("<end>".to_owned(), 257), ("<pad>".to_owned(), 256)]).unwrap();
    assert!(tiktoken::to_string(&filled).is_ok());
}

/// A `tekken.json` of the 256 bytes and two more tokens, the last of them beyond the vocabulary's size.
fn tekken(change: impl Fn(&mut serde_json::Value)) -> String {
    use base64::Engine;
    let singles = (0..=255_u8).map(|byte| vec![byte]);
    let tokens = singles.chain([b"ab".to_vec(), b"abc".to_vec()]).enumerate();
    let encoded = |bytes: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
    let vocab: Vec<_> = tokens
        .map(|(rank, bytes)| serde_json::json!({"rank": rank, "token_bytes": encoded(&bytes), "token_str": null}))
        .collect();
    let config = serde_json::json!({"pattern": r"\w+|\W+", "num_vocab_tokens": 258, "default_vocab_size": 260, "default_num_special_tokens": 3, "version": "v11"});
    let special = serde_json::json!([{"rank": 0, "token_str": "<unk>", "is_control": true}, {"rank": 1, "token_str": "<s>", "is_control": true}]);
    let mut file = serde_json::json!({"config": config, "vocab": vocab, "special_tokens": special, "type": "Tekken", "version": 1});
    change(&mut file);
    file.to_string()
}

#[test]
fn tekken_files_have_their_special_tokens_first() {
    let (vocab, splitter) = load_text("tekken.json", &tekken(|_| ())).unwrap();
    assert_eq!((vocab.n_vocab(), vocab.id_of(b"ab"), vocab.id_of(b"abc")), (260, Some(259), None));
    assert_eq!(
        vocab.special_tokens().iter().map(|(text, _)| text.as_str()).collect::<Vec<_>>(),
        ["<unk>", "<s>", "<SPECIAL_2>"]
    );
    assert_eq!(splitter.pattern(), Some(r"\w+|\W+"));
    let unnamed = tekken(|file| {
        file["special_tokens"] = serde_json::Value::Null;
        file["config"]["default_num_special_tokens"] = 22.into();
        file["config"]["default_vocab_size"] = 280.into();
    });
    let (vocab, _) = load_text("tekken.json", &unnamed).unwrap();
    assert_eq!(
        ["[INST]", "[TOOL_CONTENT]", "<SPECIAL_21>"].map(|text| vocab.id_of(text.as_bytes())),
        [Some(3), Some(19), Some(21)]
    );
    assert_eq!(vocab.id_of(b"abc"), Some(279));
}

#[test]
fn damaged_tekken_files_are_refused() {
    let special = |text: &str| serde_json::json!({"rank": u32::from(text.as_bytes()[0] - b'a'), "token_str": text});
    let cases: [(&str, serde_json::Value, &str); 6] = [
        ("/config/default_vocab_size", 262.into(), "expected 3 to 261"),
        ("/config/default_vocab_size", 2.into(), "expected 3 to 261"),
        ("/special_tokens", ["a", "b", "c", "d"].map(special).to_vec().into(), "there are 4 special tokens"),
        ("/vocab/5/rank", 6.into(), "token 5 has rank 6"),
        ("/vocab/5/token_bytes", "?".into(), "expected rank 5 and base64"),
        ("/special_tokens/1/rank", 2.into(), "special token 1, \"<s>\", has rank 2"),
    ];
    for (pointer, value, expected) in cases {
        let message = refusal(&tekken(|file| *file.pointer_mut(pointer).unwrap() = value.clone()));
        assert!(message.contains(expected), "{pointer}: {message}");
    }
    assert!(load_text("f", &tekken(|file| file["config"]["default_vocab_size"] = 261.into())).is_ok());
}

#[test]
fn other_json_is_told_apart() {
    assert!(refusal("{\"a\": null}").contains("has no \"model\""));
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
