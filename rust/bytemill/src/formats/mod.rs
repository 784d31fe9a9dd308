//! Reads and writes vocabulary files. The format of a file is detected from its content.
//!
//! | format | holds | written by |
//! |---|---|---|
//! | `tokenizer.json` | all | Hugging Face |
//! | readable JSON | all | bytemill |
//! | `.tiktoken` | tokens and ranks | tiktoken |
//! | `vocab.json` + `merges.txt`, `encoder.json` + `vocab.bpe` | tokens and merges | GPT-2 |
//! | `.model` | merges, pattern, special tokens | minbpe (read only) |
//! | `tekken.json` | tokens and ranks, pattern, special tokens | Mistral (read only) |

mod common;
mod entries;
mod file;
mod fingerprint;
mod gpt2;
mod huggingface;
mod minbpe;
mod readable;
mod tekken;
mod tiktoken;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;

pub use crate::byte_alphabet::{from_printable, to_printable};
use crate::durable;
use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::Vocab;
use common::parse;
pub use common::{GivenSpecials, PatternChoice};
pub use fingerprint::fingerprint;
pub use readable::{from_str as from_readable, to_string as to_readable};
use std::path::Path;
use std::str::FromStr;
pub use tiktoken::ranks as tiktoken_ranks;

/// A format that bytemill can write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `tokenizer.json`.
    HuggingFace,
    /// Base64 and rank, one token per line.
    Tiktoken,
    /// JSON with bytes in hexadecimal.
    Readable,
    /// A folder with `vocab.json` and `merges.txt`.
    Gpt2,
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "huggingface" => Ok(Self::HuggingFace),
            "tiktoken" => Ok(Self::Tiktoken),
            "readable" => Ok(Self::Readable),
            "gpt2" => Ok(Self::Gpt2),
            _ => Err(Error::Argument {
                name: "format",
                got: format!("{name:?}"),
                expected: "\"huggingface\", \"tiktoken\", \"readable\" or \"gpt2\"".to_owned(),
            }),
        }
    }
}

/// Read a vocabulary in any format.
///
/// `special_tokens` is for formats that do not contain them (`.tiktoken`, GPT-2's folder).
pub fn load(path: &Path, pattern: PatternChoice, special_tokens: GivenSpecials) -> Result<(Vocab, Splitter)> {
    if path.is_dir() {
        return gpt2::read(path, pattern, special_tokens);
    }
    let bytes = file::read(path)?;
    let content = bytes.trim_ascii_start();
    if gpt2::is_merges(path, content) {
        return Err(gpt2::merges_alone(path));
    }
    if !content.starts_with(b"minbpe v") && !is_json(path, content) {
        return tiktoken::read(path, &bytes, pattern, special_tokens);
    }
    if special_tokens.is_some() {
        return Err(Error::Argument {
            name: "special_tokens",
            got: "given".to_owned(),
            expected: format!("none, since {} contains its special tokens", path.display()),
        });
    }
    let text = file::text(path, bytes)?;
    if text.trim_start().starts_with("minbpe v") {
        minbpe::read(path, &text, pattern)
    } else {
        read_json(path, &text, pattern)
    }
}

/// Write a vocabulary, or return an error that says why the format cannot hold it.
pub fn save(vocab: &Vocab, splitter: &Splitter, path: &Path, format: Format) -> Result<()> {
    match format {
        Format::HuggingFace => durable::write(path, huggingface::to_string(vocab, splitter)?.as_bytes()),
        Format::Tiktoken => durable::write(path, tiktoken::to_string(vocab)?.as_bytes()),
        Format::Readable => durable::write(path, to_readable(vocab, splitter)?.as_bytes()),
        Format::Gpt2 => gpt2::write(path, vocab, splitter),
    }
}

/// Return whether a file contains JSON or has that extension; a line of a .tiktoken file never looks like JSON.
fn is_json(path: &Path, content: &[u8]) -> bool {
    let is_called_so = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let begins_so = content.first().is_some_and(|first| b"{[\"".contains(first));
    is_called_so || begins_so || serde_json::from_slice::<serde::de::IgnoredAny>(content).is_ok()
}

fn read_json(path: &Path, text: &str, pattern: PatternChoice) -> Result<(Vocab, Splitter)> {
    let fields = top_level_fields(path, text)?;
    let has = |name: &str| fields.iter().any(|field| field == name);
    // A bare vocab.json has only words and numbers, and "format" and "model" are among its words.
    let is_bare_vocab = serde_json::from_str::<entries::Entries<u32>>(text).is_ok();
    if is_bare_vocab {
        Err(Error::format(path, "is a vocab.json without its merges: give the folder that holds both"))
    } else if has("format") {
        readable::read(path, text, pattern)
    } else if has("model") {
        huggingface::read(path, text, pattern)
    } else if has("config") && has("vocab") {
        tekken::read(path, text, pattern)
    } else {
        let reason = "is JSON, but has no \"model\" (tokenizer.json) and no \"format\" (bytemill)";
        Err(Error::format(path, reason))
    }
}

fn top_level_fields(path: &Path, text: &str) -> Result<Vec<String>> {
    let entries: entries::Entries<serde::de::IgnoredAny> = parse(path, text)?;
    Ok(entries.0.into_iter().map(|(name, _)| name).collect())
}
