//! Writing `tokenizer.json`, so that `tokenizers` gives the ids that we give.

use crate::error::Result;
use crate::formats::byte_alphabet::to_printable;
use crate::formats::cannot_write;
use crate::formats::huggingface::pre_tokenizer;
use crate::split::Splitter;
use crate::vocab::Vocab;
use serde_json::{Map, Value, json};

const FORMAT: &str = "huggingface";

/// The file's text; refused where `tokenizers` would read it otherwise.
pub(in crate::formats) fn to_string(vocab: &Vocab, splitter: &Splitter) -> Result<String> {
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(vocab),
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer::write(splitter, FORMAT)?,
        "post_processor": super::byte_level(true),
        "decoder": super::byte_level(true),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": null,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": vocab.ignore_merges(),
            "vocab": entries(vocab)?,
            "merges": merges(vocab),
        },
    });
    Ok(file.to_string() + "\n")
}

fn added_tokens(vocab: &Vocab) -> Vec<Value> {
    let added = vocab.special_tokens().iter().map(|(text, id)| {
        json!({"id": id, "content": text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true})
    });
    added.collect()
}

/// All tokens. Special ones are among them, since `tokenizers` numbers added tokens anew that are not.
fn entries(vocab: &Vocab) -> Result<Map<String, Value>> {
    let mut entries = Map::new();
    for (id, bytes) in vocab.ordinary_tokens() {
        entries.insert(to_printable(bytes), id.into());
    }
    for (text, id) in vocab.special_tokens() {
        if entries.insert(text.clone(), (*id).into()).is_some() {
            let reason = format!("the special token {text:?} is also how an ordinary token is written there");
            return Err(cannot_write(FORMAT, reason));
        }
    }
    Ok(entries)
}

fn merges(vocab: &Vocab) -> Vec<Value> {
    vocab.merges().map(|(left, right)| json!([to_printable(left), to_printable(right)])).collect()
}
