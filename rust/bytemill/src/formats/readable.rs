//! bytemill's own file: JSON that a person can read, bytes in hexadecimal, ids as names.
//!
//! ```json
//! {"format": "bytemill", "version": 1, "pattern": "…", "ignore_merges": false,
//!  "vocab": {"0": "00", "639": "e8b3e4"}, "merges": [[232, 179]], "special_tokens": {"<|endoftext|>": 1023}}
//! ```
//! `pattern` is null where text is not split; `merges` are pairs of ids in order.

use super::entries::Entries;
use super::fingerprint::hexadecimal;
use super::{PatternChoice, in_file, parse};
use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::Vocab;
use serde::{Deserialize, Serialize};
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
    let vocab = Vocab::from_token_ids(&tokens?, &contents.merges, contents.special_tokens.0, contents.ignore_merges)
        .map_err(|error| in_file(path, error, |_| None))?;
    Ok((vocab, splitter))
}

/// The tokenizer that [`to_string`] wrote.
pub fn from_str(text: &str) -> Result<(Vocab, Splitter)> {
    read(Path::new("<text>"), text, PatternChoice::Auto)
}

/// Everything about a tokenizer as one JSON text.
pub fn to_string(vocab: &Vocab, splitter: &Splitter) -> Result<String> {
    let contents = Contents {
        format: FORMAT.to_owned(),
        version: VERSION,
        pattern: splitter.pattern().map(str::to_owned),
        ignore_merges: vocab.ignore_merges(),
        vocab: Entries(vocab.ordinary_tokens().map(|(id, bytes)| (id.to_string(), hexadecimal(bytes))).collect()),
        merges: vocab.merge_ids(),
        special_tokens: Entries(vocab.special_tokens().to_vec()),
    };
    serde_json::to_string(&contents)
        .map(|text| text + "\n")
        .map_err(|error| super::cannot_write("readable", error.to_string()))
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
