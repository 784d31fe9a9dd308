//! Reads `tokenizer.json`: which settings are ignored, supported or refused.

use super::added::{self, Entry};
use super::pre_tokenizer;
use super::values::{Refusal, byte_level, steps};
use crate::byte_alphabet::from_printable;
use crate::error::{Error, Result};
use crate::formats::common::{PatternChoice, in_file, parse};
use crate::formats::entries::Entries;
use crate::formats::gpt2::parse_merge;
use crate::split::Splitter;
use crate::vocab::Vocab;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::path::Path;

/// Settings with more bytes than this are not parsed: parsed, they take a hundred times the memory.
const MAX_SETTING_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Contents<'t> {
    #[serde(default)]
    added_tokens: Vec<Entry>,
    #[serde(borrow, default)]
    normalizer: Option<&'t RawValue>,
    #[serde(borrow, default)]
    pre_tokenizer: Option<&'t RawValue>,
    #[serde(borrow, default)]
    post_processor: Option<&'t RawValue>,
    #[serde(borrow, default)]
    decoder: Option<&'t RawValue>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    vocab: Entries<u32>,
    merges: Vec<Merge>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    /// In version 2.0 of the file, replaces the last step of `pre_tokenizer` of version 1.0.
    #[serde(default)]
    byte_level: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Joined(String),
    Parts(String, String),
}

pub(in crate::formats) fn read(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let contents: Contents = parse(path, text)?;
    let refused = |reason| Error::format(path, reason);
    refuse_unlike(&contents).map_err(refused)?;
    let splitter = match pattern {
        PatternChoice::Auto => {
            let pre_tokenizer = setting("pre_tokenizer", contents.pre_tokenizer).map_err(refused)?;
            let pre_tokenizer = if contents.model.byte_level { with_byte_level(&pre_tokenizer) } else { pre_tokenizer };
            pre_tokenizer::read(&pre_tokenizer).map_err(refused)??
        }
        PatternChoice::Given(_) => pattern.splitter(None)?,
    };
    let normalizer = setting("normalizer", contents.normalizer).and_then(|value| added::normalizer(&value));
    let normalizer = normalizer.map_err(refused)?;
    let post_processor = post_processor(contents.post_processor).map_err(refused)?;
    let merges = merges(contents.model.merges).map_err(refused)?;
    let (tokens, added) = added::tokens(contents.model.vocab, contents.added_tokens, &merges).map_err(refused)?;
    let ignore_merges = contents.model.ignore_merges;
    if let Some(token) = added.iter().find(|token| ignore_merges && token.single_word) {
        let content = &token.content;
        return Err(refused(format!(
            "added token {content:?} has single_word, expected false with model.ignore_merges"
        )));
    }
    let merges = merges.iter().map(|(left, right)| (&left[..], &right[..]));
    let vocab = Vocab::from_tokens(&tokens, merges, Vec::new(), ignore_merges)
        .and_then(|vocab| vocab.with_added(added, normalizer))
        .map_err(|error| in_file(path, error, |_| None))?;
    Ok((vocab.with_post_processor(post_processor), splitter))
}

/// Return the post-processor as JSON if it differs from the one that we write by default.
fn post_processor(text: Option<&RawValue>) -> Refusal<Option<String>> {
    let value = setting("post_processor", text)?;
    Ok(Some(value).filter(|value| *value != byte_level(true)).map(|value| value.to_string()))
}

/// Return the value of a setting; null if it is missing.
fn setting(name: &str, text: Option<&RawValue>) -> Refusal<Value> {
    match text.map_or("null", RawValue::get) {
        long if long.len() > MAX_SETTING_BYTES => {
            Err(format!("{name} has {} bytes, expected at most {MAX_SETTING_BYTES}", long.len()))
        }
        text => serde_json::from_str(text).map_err(|error| format!("{name}: {error}")),
    }
}

fn refuse_unlike(contents: &Contents) -> Refusal<()> {
    let model = &contents.model;
    let decoder = setting("decoder", contents.decoder)?;
    let not_empty = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let unlike = [
        (model.kind.as_deref().is_some_and(|kind| kind != "BPE"), "model.type is not \"BPE\""),
        (model.dropout.is_some_and(|dropout| dropout != 0.0), "model.dropout makes encoding random, expected null"),
        (
            not_empty(&model.continuing_subword_prefix),
            "model.continuing_subword_prefix is not byte-level BPE, expected none",
        ),
        (not_empty(&model.end_of_word_suffix), "model.end_of_word_suffix is not byte-level BPE, expected none"),
        (model.byte_fallback, "model.byte_fallback is not byte-level BPE, expected false"),
        (!is_byte_level(&decoder), "decoder is not ByteLevel"),
    ];
    match unlike.iter().find(|(found, _)| *found) {
        Some((_, reason)) => Err((*reason).to_owned()),
        None => Ok(()),
    }
}

fn merges(merges: Vec<Merge>) -> Refusal<Vec<(Vec<u8>, Vec<u8>)>> {
    let parsed = merges.into_iter().enumerate().map(|(index, merge)| match merge {
        Merge::Parts(left, right) => {
            let part = |text: &str| bytes(text).map_err(|reason| format!("merge {index} has {reason}"));
            Ok((part(&left)?, part(&right)?))
        }
        Merge::Joined(entry) => parse_merge(&entry).ok_or_else(|| {
            format!("merge {index} is {entry:?}, expected two byte-level tokens with one space between")
        }),
    });
    parsed.collect()
}

fn bytes(text: &str) -> Refusal<Vec<u8>> {
    from_printable(text).map_err(|character| format!("{text:?}, where {character:?} does not represent a byte"))
}

/// Convert the `pre_tokenizer` of version 2.0 to version 1.0.
fn with_byte_level(pre_tokenizer: &Value) -> Value {
    let mut all: Vec<Value> = steps(pre_tokenizer, "pretokenizers").into_iter().cloned().collect();
    all.retain(|step| !step.is_null());
    all.push(json!({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}));
    json!({"type": "Sequence", "pretokenizers": all})
}

fn is_byte_level(value: &Value) -> bool {
    match steps(value, "decoders")[..] {
        [step] => step["type"] == "ByteLevel",
        _ => false,
    }
}
