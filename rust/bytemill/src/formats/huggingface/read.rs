//! Reading `tokenizer.json`: which settings mean nothing to us, which we follow, which we refuse.

use crate::error::{Error, Result};
use crate::formats::byte_alphabet::from_printable;
use crate::formats::entries::Entries;
use crate::formats::gpt2::parse_merge;
use crate::formats::huggingface::pre_tokenizer;
use crate::formats::{PatternChoice, in_file, parse};
use crate::split::Splitter;
use crate::vocab::Vocab;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::path::Path;

/// Settings with more bytes than this are not looked into: parsed, they take a hundred times as much.
const MAX_SETTING_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Contents<'t> {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Option<IgnoredAny>,
    #[serde(borrow, default)]
    pre_tokenizer: Option<&'t RawValue>,
    #[serde(borrow, default)]
    decoder: Option<&'t RawValue>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
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
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Joined(String),
    Parts(String, String),
}

/// The first thing in a file that we do not do; the reader puts the file's name before it.
type Refusal<T> = std::result::Result<T, String>;

pub(in crate::formats) fn read(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let contents: Contents = parse(path, text)?;
    let refused = |reason| Error::format(path, reason);
    refuse_unlike(&contents).map_err(refused)?;
    let splitter = match pattern {
        PatternChoice::Auto => {
            let pre_tokenizer = setting("pre_tokenizer", contents.pre_tokenizer).map_err(refused)?;
            pre_tokenizer::read(&pre_tokenizer).map_err(refused)??
        }
        PatternChoice::Given(_) => pattern.splitter(None)?,
    };
    let (tokens, special_tokens) = tokens(contents.model.vocab, &contents.added_tokens).map_err(refused)?;
    let merges = merges(contents.model.merges).map_err(refused)?;
    let merges = merges.iter().map(|(left, right)| (&left[..], &right[..]));
    let vocab = Vocab::from_tokens(&tokens, merges, special_tokens, contents.model.ignore_merges)
        .map_err(|error| in_file(path, error, |_| None))?;
    Ok((vocab, splitter))
}

/// The value of a setting; null where it is not given.
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
        (contents.normalizer.is_some(), "normalizer changes the text before it is encoded, expected null"),
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
        None => contents.added_tokens.iter().try_for_each(refuse_stripping),
    }
}

fn refuse_stripping(token: &AddedToken) -> Refusal<()> {
    let set = [(token.lstrip, "lstrip"), (token.rstrip, "rstrip"), (token.single_word, "single_word")];
    match set.iter().find(|(set, _)| *set) {
        Some((_, name)) => Err(format!(
            "added token {:?} has {name}, which makes its neighbours part of the match; expected false",
            token.content
        )),
        None => Ok(()),
    }
}

/// Ordinary tokens as bytes, and special tokens.
type AllTokens = (Vec<(Vec<u8>, u32)>, Vec<(String, u32)>);

fn tokens(vocab: Entries<u32>, added: &[AddedToken]) -> Refusal<AllTokens> {
    let ids: HashMap<&str, u32> = added.iter().map(|token| (token.content.as_str(), token.id)).collect();
    let mut tokens = Vec::with_capacity(vocab.0.len());
    for (text, id) in vocab.0 {
        match ids.get(text.as_str()) {
            Some(&added) if added == id => {}
            Some(added) => return Err(format!("added token {text:?} has id {added}, but {id} in model.vocab")),
            None => tokens.push((bytes(&text).map_err(|reason| format!("model.vocab has {reason}"))?, id)),
        }
    }
    Ok((tokens, added.iter().map(|token| (token.content.clone(), token.id)).collect()))
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
    from_printable(text).map_err(|character| format!("{text:?}, where {character:?} stands for no byte"))
}

fn is_byte_level(value: &Value) -> bool {
    match steps(value, "decoders")[..] {
        [step] => step["type"] == "ByteLevel",
        _ => false,
    }
}

/// The steps of a Sequence, or the one step that stands alone.
fn steps<'v>(value: &'v Value, of_sequence: &str) -> Vec<&'v Value> {
    match value[of_sequence].as_array() {
        Some(steps) if value["type"] == "Sequence" => steps.iter().collect(),
        _ => vec![value],
    }
}
