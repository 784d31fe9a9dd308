//! bytemill's own format: JSON that a person can read, with bytes in hexadecimal and ids as names.
//!
//! ```json
//! {"format": "bytemill", "version": 1, "pattern": "…", "ignore_merges": false,
//!  "vocab": {"0": "00", "639": "e8b3e4"}, "merges": [[232, 179]], "special_tokens": {"<|endoftext|>": 1023}}
//! ```
//! `pattern` is null if text is not split; `merges` are pairs of ids in order. Three members are optional:
//! `added_tokens`, the added tokens that are not plain special tokens, with the flags of `tokenizer.json`;
//! `normalizer`, `"NFC"`; and `post_processor`, which is kept for writing a `tokenizer.json`.

use super::common::{PatternChoice, cannot_write, in_file, parse};
use super::entries::Entries;
use super::fingerprint::hexadecimal;
use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::{AddedToken, Normalizer, Vocab};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::path::Path;

const FORMAT: &str = "bytemill";
const VERSION: u32 = 1;

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    format: String,
    version: u32,
    pattern: Option<String>,
    ignore_merges: bool,
    vocab: Entries<String>,
    merges: Vec<(u32, u32)>,
    special_tokens: Entries<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    added_tokens: Vec<Added>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    normalizer: Option<Normalization>,
    #[serde(default, deserialize_with = "even_null", skip_serializing_if = "Option::is_none")]
    post_processor: Option<Value>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a field of tokenizer.json")]
struct Added {
    id: u32,
    content: String,
    special: bool,
    normalized: bool,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
}

#[derive(Debug, Deserialize, Serialize)]
enum Normalization {
    #[serde(rename = "NFC")]
    Nfc,
}

/// Read a null member as `Some(Null)`, which differs from a missing member.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

pub(super) fn read(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let contents: Contents = parse(path, text)?;
    if (contents.format.as_str(), contents.version) != (FORMAT, VERSION) {
        let (format, version) = (&contents.format, contents.version);
        let reason = format!("has format {format:?} version {version}, expected {FORMAT:?} version {VERSION}");
        return Err(Error::format(path, reason));
    }
    let splitter = pattern.splitter(contents.pattern.as_deref())?;
    let tokens: Result<Vec<_>> = contents.vocab.0.iter().map(|(id, hex)| token(path, id, hex)).collect();
    let special = contents.special_tokens.0.into_iter().map(|(text, id)| AddedToken::special(text, id));
    let added = special.chain(contents.added_tokens.into_iter().map(Added::token)).collect();
    let normalizer = contents.normalizer.map_or(Normalizer::None, |Normalization::Nfc| Normalizer::Nfc);
    let vocab = Vocab::from_token_ids(&tokens?, &contents.merges, Vec::new(), contents.ignore_merges)
        .and_then(|vocab| vocab.with_added(added, normalizer))
        .map_err(|error| in_file(path, error, |_| None))?;
    Ok((vocab.with_post_processor(contents.post_processor.map(|value| value.to_string())), splitter))
}

/// Read a tokenizer from the output of [`to_string`].
pub fn from_str(text: &str) -> Result<(Vocab, Splitter)> {
    read(Path::new("<text>"), text, PatternChoice::Auto)
}

/// Return everything about a tokenizer as one JSON text.
pub fn to_string(vocab: &Vocab, splitter: &Splitter) -> Result<String> {
    let plain = vocab.added_tokens().iter().filter(|token| token.is_plain());
    let others = vocab.added_tokens().iter().filter(|token| !token.is_plain());
    let contents = Contents {
        format: FORMAT.to_owned(),
        version: VERSION,
        pattern: splitter.pattern().map(str::to_owned),
        ignore_merges: vocab.ignore_merges(),
        vocab: Entries(vocab.ordinary_tokens().map(|(id, bytes)| (id.to_string(), hexadecimal(bytes))).collect()),
        merges: vocab.merge_ids(),
        special_tokens: Entries(plain.map(|token| (token.content.clone(), token.id)).collect()),
        added_tokens: others.map(Added::of).collect(),
        normalizer: (vocab.normalizer() == Normalizer::Nfc).then_some(Normalization::Nfc),
        post_processor: vocab.post_processor().and_then(|json| serde_json::from_str(json).ok()),
    };
    serde_json::to_string(&contents)
        .map(|text| text + "\n")
        .map_err(|error| cannot_write("readable", error.to_string()))
}

impl Added {
    fn of(token: &AddedToken) -> Self {
        let AddedToken { content, id, special, normalized, lstrip, rstrip, single_word } = token.clone();
        Self { id, content, special, normalized, lstrip, rstrip, single_word }
    }

    fn token(self) -> AddedToken {
        let Self { id, content, special, normalized, lstrip, rstrip, single_word } = self;
        AddedToken { content, id, special, normalized, lstrip, rstrip, single_word }
    }
}

fn token(path: &Path, id: &str, hex: &str) -> Result<(Vec<u8>, u32)> {
    let number = id.parse().map_err(|_| Error::format(path, format!("vocab has the name {id:?}, expected an id")))?;
    let bytes = bytes_of(hex)
        .ok_or_else(|| Error::format(path, format!("token {id} is {hex:?}, expected pairs of hexadecimal digits")))?;
    Ok((bytes, number))
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
    let pairs = hex.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    });
    pairs.collect()
}
