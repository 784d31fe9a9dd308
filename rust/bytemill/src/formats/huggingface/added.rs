//! The added tokens and the normalizer of a `tokenizer.json`: supported settings, and errors for all others.

use super::values::{Refusal, steps};
use crate::byte_alphabet::from_printable;
use crate::error::show;
use crate::formats::entries::Entries;
use crate::vocab::{AddedToken, NEVER_IN_TEXT, Normalizer, Vocab};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// An added token as written in the file. `tokenizers` refuses files without all of the flags.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of the file")]
pub(super) struct Entry {
    id: u32,
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default = "yes")]
    special: bool,
}

fn yes() -> bool {
    true
}

/// Ordinary tokens as bytes, and added tokens.
type AllTokens = (Vec<(Vec<u8>, u32)>, Vec<AddedToken>);

/// Return the tokens of `model.vocab` and the added tokens.
pub(super) fn tokens(vocab: Entries<u32>, added: Vec<Entry>, merges: &[(Vec<u8>, Vec<u8>)]) -> Refusal<AllTokens> {
    let added = numbered(&vocab, added)?;
    let made = made_by_merges(&added, merges);
    let by_text: HashSet<&str> = added.iter().map(|token| token.content.as_str()).collect();
    let mut tokens = Vec::with_capacity(vocab.0.len());
    for (text, id) in vocab.0 {
        let bytes = from_printable(&text);
        if !by_text.contains(text.as_str()) {
            let bytes = bytes.map_err(|character| {
                format!("model.vocab has {text:?}, where {character:?} does not represent a byte")
            })?;
            tokens.push((bytes, id));
            continue;
        }
        let Ok(bytes) = bytes else { continue };
        if is_needed(&bytes) || made.contains(&bytes) {
            if bytes != text.as_bytes() {
                let ordinary = show(&bytes);
                return Err(format!(
                    "added token {text:?} is also how the ordinary token {ordinary} is written, and id {id} cannot be \
                     both; expected an added token with another text"
                ));
            }
            tokens.push((bytes, id));
        }
    }
    Ok((tokens, added))
}

/// Return whether text needs a token of these bytes: a single byte that occurs in UTF-8.
fn is_needed(bytes: &[u8]) -> bool {
    matches!(bytes, [byte] if !NEVER_IN_TEXT.contains(byte))
}

/// Return the bytes of ordinary tokens that are listed as added tokens and that merges make.
fn made_by_merges(added: &[AddedToken], merges: &[(Vec<u8>, Vec<u8>)]) -> HashSet<Vec<u8>> {
    let wanted: HashSet<Vec<u8>> = added.iter().filter_map(|token| from_printable(&token.content).ok()).collect();
    let mut both = Vec::new();
    let made = merges.iter().filter(|(left, right)| {
        both.clear();
        both.extend_from_slice(left);
        both.extend_from_slice(right);
        wanted.contains(&both)
    });
    made.map(|(left, right)| [&left[..], right].concat()).collect()
}

/// Return the added tokens, or an error if `tokenizers` gives one another id than the file.
///
/// `tokenizers` uses the id of a token that is in `model.vocab`. It numbers all others in the order of the file,
/// starting from the number of tokens in `model.vocab`.
fn numbered(vocab: &Entries<u32>, added: Vec<Entry>) -> Refusal<Vec<AddedToken>> {
    let ids: HashMap<&str, u32> = vocab.0.iter().map(|(text, id)| (text.as_str(), *id)).collect();
    let mut next = ids.len() as u32;
    let mut tokens: Vec<AddedToken> = Vec::with_capacity(added.len());
    let mut seen: HashMap<String, usize> = HashMap::new();
    for entry in added {
        let Entry { id, content, single_word, lstrip, rstrip, normalized, special } = entry;
        if content.is_empty() {
            return Err(format!("added token {id} is empty, expected at least one character"));
        }
        let token = AddedToken { content, id, special, normalized, lstrip, rstrip, single_word };
        if let Some(&first) = seen.get(&token.content) {
            if tokens[first] != token {
                return Err(format!("added token {:?} occurs twice and differs", token.content));
            }
            continue;
        }
        match ids.get(token.content.as_str()) {
            Some(&known) if known == id => {}
            Some(known) => {
                return Err(format!("added token {:?} has id {id}, but {known} in model.vocab", token.content));
            }
            None if next == id => next += 1,
            None => {
                return Err(format!(
                    "added token {:?} has id {id}, and tokenizers gives it {next}, as model.vocab lacks it; expected {next}",
                    token.content
                ));
            }
        }
        seen.insert(token.content.clone(), tokens.len());
        tokens.push(token);
    }
    Ok(tokens)
}

/// Return `added_tokens` as written to the file.
pub(super) fn added_tokens(vocab: &Vocab) -> Vec<Value> {
    let added = vocab.added_tokens().iter().map(|token| {
        let AddedToken { content, id, special, normalized, lstrip, rstrip, single_word } = token;
        json!({"id": id, "content": content, "single_word": single_word, "lstrip": lstrip, "rstrip": rstrip, "normalized": normalized, "special": special})
    });
    added.collect()
}

/// Parse `normalizer`, or return an error if it is not supported.
pub(super) fn normalizer(value: &Value) -> Refusal<Normalizer> {
    if value.is_null() {
        return Ok(Normalizer::None);
    }
    if value["type"] == "Sequence" {
        let steps = steps(value, "normalizers").into_iter().map(normalizer);
        return steps
            .collect::<Refusal<Vec<_>>>()
            .map(|steps| steps.into_iter().fold(Normalizer::None, Normalizer::then));
    }
    if value["type"] == "NFC" {
        return Ok(Normalizer::Nfc);
    }
    Err(format!("normalizer {} changes the text before it is encoded, expected NFC or null", value["type"]))
}

/// Return `normalizer` as written to the file.
pub(super) fn normalizer_value(normalizer: Normalizer) -> Value {
    match normalizer {
        Normalizer::None => Value::Null,
        Normalizer::Nfc => json!({"type": "NFC"}),
    }
}
