//! Writes `tokenizer.json` so that `tokenizers` gives the same ids as bytemill.

use super::added::{added_tokens, normalizer_value};
use super::pre_tokenizer;
use super::values::byte_level;
use crate::byte_alphabet::to_printable;
use crate::error::Result;
use crate::formats::common::cannot_write;
use crate::split::Splitter;
use crate::vocab::{AddedToken, Vocab};
use serde_json::{Map, Value, json};

const FORMAT: &str = "huggingface";

/// Return the text of the file, or an error if `tokenizers` would read it differently.
pub(in crate::formats) fn to_string(vocab: &Vocab, splitter: &Splitter) -> Result<String> {
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added_tokens(vocab),
        "normalizer": normalizer_value(vocab.normalizer()),
        "pre_tokenizer": pre_tokenizer::write(splitter, FORMAT)?,
        "post_processor": post_processor(vocab),
        "decoder": byte_level(true),
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

/// Return the settings of the file that was read, or defaults that do not affect ids.
fn post_processor(vocab: &Vocab) -> Value {
    vocab.post_processor().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_else(|| byte_level(true))
}

/// Return all tokens. Added ones are included, because `tokenizers` renumbers those that are not.
fn entries(vocab: &Vocab) -> Result<Map<String, Value>> {
    let mut entries = Map::new();
    for (id, bytes) in vocab.ordinary_tokens() {
        entries.insert(to_printable(bytes), id.into());
    }
    for AddedToken { content, id, .. } in vocab.added_tokens() {
        if let Some(other) = entries.insert(content.clone(), (*id).into())
            && other != *id
        {
            let reason = format!(
                "added token {id}, {content:?}, is also how the ordinary token {other} is written there; \
                 \"readable\" holds both"
            );
            return Err(cannot_write(FORMAT, reason));
        }
    }
    Ok(entries)
}

/// Return each merge as one string, which all versions of `tokenizers` read: the alphabet's tokens contain no spaces.
fn merges(vocab: &Vocab) -> Vec<Value> {
    vocab.merges().map(|(left, right)| format!("{} {}", to_printable(left), to_printable(right)).into()).collect()
}
