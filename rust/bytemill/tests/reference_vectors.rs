//! Ids against those of llama.cpp's test vectors and against tiktoken's own rank files, where the
//! shared data folder is there: `$BYTEMILL_SHARED_DATA`, or `shared/data` beside the repository.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use bytemill::Tokenizer;
use bytemill::formats::{Format, PatternChoice};
use std::path::{Path, PathBuf};

/// The folder, or `None` with a word on stderr.
fn shared_data() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let folder = std::env::var_os("BYTEMILL_SHARED_DATA").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("skipped: no shared data at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn load(path: &Path) -> Tokenizer {
    Tokenizer::load(path, PatternChoice::Auto, None).unwrap()
}

#[test]
fn llama_cpp_vectors_of_gpt2() {
    let Some(data) = shared_data() else { return };
    let vectors = data.join("llamacpp_vectors");
    let texts = std::fs::read_to_string(vectors.join("ggml-vocab-gpt-2.gguf.inp")).unwrap();
    let expected = std::fs::read_to_string(vectors.join("ggml-vocab-gpt-2.gguf.out")).unwrap();
    let mut texts: Vec<&str> = texts.split("\n__ggml_vocab_test__\n").collect();
    texts.pop();
    assert_eq!((texts.len(), expected.lines().count()), (46, 46));
    let sources = ["tiktoken_vocabs/r50k_base.tiktoken", "gpt2_vocab/gpt2_tokenizer.json", "gpt2_vocab"];
    for tokenizer in sources.map(|source| load(&data.join(source))) {
        for (text, ids) in texts.iter().zip(expected.lines()) {
            let ids: Vec<u32> = ids.split_whitespace().map(|id| id.parse().unwrap()).collect();
            assert_eq!(tokenizer.encode_ordinary(text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer.decode(&ids).unwrap(), *text);
        }
    }
}

#[test]
fn the_three_forms_of_gpt2_are_one_tokenizer() {
    let Some(data) = shared_data() else { return };
    let ranks = load(&data.join("tiktoken_vocabs/r50k_base.tiktoken"));
    for source in ["gpt2_vocab/gpt2_tokenizer.json", "gpt2_vocab"] {
        let other = load(&data.join(source));
        assert_eq!(other.fingerprint(), ranks.fingerprint(), "{source}");
    }
    assert_eq!(ranks.vocab().n_vocab(), 50257);
    assert_eq!(ranks.encode_single_token(b"<|endoftext|>"), Some(50256));
    assert_eq!(ranks.encode_ordinary("博士").unwrap(), [39355, 248, 18803]);
}

#[test]
fn rank_files_are_written_as_they_were_read() {
    let Some(data) = shared_data() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (name, n_vocab) in [("r50k_base", 50_257), ("cl100k_base", 100_277), ("o200k_base", 200_019)] {
        let source = data.join("tiktoken_vocabs").join(name).with_extension("tiktoken");
        let tokenizer = load(&source);
        assert_eq!(tokenizer.vocab().n_vocab(), n_vocab);
        assert_eq!(tokenizer.vocab().unreachable_tokens().count(), 0, "{name}");
        let copy = folder.path().join(name);
        tokenizer.save(&copy, Format::Tiktoken).unwrap();
        assert!(std::fs::read(&copy).unwrap() == std::fs::read(&source).unwrap(), "{name}");
    }
}
