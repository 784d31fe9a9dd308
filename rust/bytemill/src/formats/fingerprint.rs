//! One hash over everything that affects the ids of a text.

use crate::split::Splitter;
use crate::vocab::{Normalizer, Vocab};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Return the SHA-256 in hexadecimal over pattern, tokens, merges and special tokens. Numbers and lengths
/// are eight little-endian bytes. All spellings of one known pattern give the same hash.
pub fn fingerprint(vocab: &Vocab, splitter: &Splitter) -> String {
    let mut hash = Hash(Sha256::new());
    hash.bytes(b"bytemill tokenizer 1");
    hash.bytes(splitter.name().or(splitter.pattern()).unwrap_or_default().as_bytes());
    hash.number(splitter.pattern().is_some().into());
    hash.number(vocab.ignore_merges().into());
    for (id, bytes) in vocab.ordinary_tokens() {
        hash.number(id.into());
        hash.bytes(bytes);
    }
    hash.bytes(b"merges");
    for (left, right) in vocab.merge_ids() {
        hash.number(u64::from(left) << 32 | u64::from(right));
    }
    hash.bytes(b"special tokens");
    for (text, id) in vocab.special_tokens() {
        hash.number((*id).into());
        hash.bytes(text.as_bytes());
    }
    for token in vocab.added_tokens().iter().filter(|token| !token.special || token.looks_around()) {
        hash.bytes(b"added token");
        hash.number(token.id.into());
        hash.bytes(token.content.as_bytes());
        let flags = [token.special, token.normalized, token.lstrip, token.rstrip, token.single_word];
        for flag in flags {
            hash.number(flag.into());
        }
    }
    if vocab.normalizer() == Normalizer::Nfc {
        hash.bytes(b"NFC");
    }
    hexadecimal(&hash.0.finalize())
}

/// Return lower-case hexadecimal digits.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Hash(Sha256);

impl Hash {
    fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }
}
