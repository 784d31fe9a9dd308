//! Decodes ids to bytes and text, whole or as a stream.

use crate::error::{Error, Result};
use crate::interrupt;
use crate::vocab::{SLOT_BYTES, Vocab};

/// Return the bytes of `ids`.
///
/// Each token is copied as 16 bytes whatever its length; the next token overwrites the excess.
pub fn decode_bytes(vocab: &Vocab, ids: &[u32]) -> Result<Vec<u8>> {
    let slots = vocab.slots();
    let mut bytes = Vec::with_capacity(ids.len() * EXPECTED_BYTES);
    let mut buffer = [0; BUFFER_IDS * SLOT_BYTES];
    for (chunk, ids) in ids.chunks(BUFFER_IDS).enumerate() {
        if chunk.is_multiple_of(CHECK_IDS / BUFFER_IDS) {
            interrupt::check();
        }
        let mut n = 0;
        for (index, &id) in ids.iter().enumerate() {
            let slot = slots.get(id as usize).unwrap_or(&[0; SLOT_BYTES]);
            let length = usize::from(slot[SLOT_BYTES - 1]);
            if length == 0 {
                bytes.extend_from_slice(&buffer[..n]);
                bytes.extend_from_slice(token(vocab, id, chunk * BUFFER_IDS + index)?);
                n = 0;
                continue;
            }
            buffer[n..n + SLOT_BYTES].copy_from_slice(slot);
            n += length;
        }
        bytes.extend_from_slice(&buffer[..n]);
    }
    Ok(bytes)
}

/// Tokens of real text have 2-6 bytes.
const EXPECTED_BYTES: usize = 5;
/// The bytes of this many ids fit into the L1 cache.
const BUFFER_IDS: usize = 128;
/// The number of ids between checks for interruption.
const CHECK_IDS: usize = 1 << 16;

/// Return the text of `ids`; invalid UTF-8 becomes U+FFFD, as with Python's `errors="replace"`.
pub fn decode_lossy(vocab: &Vocab, ids: &[u32]) -> Result<String> {
    let bytes = decode_bytes(vocab, ids)?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Return the text of `ids`, or an error with the position at which it stops being UTF-8.
pub fn decode_strict(vocab: &Vocab, ids: &[u32]) -> Result<String> {
    String::from_utf8(decode_bytes(vocab, ids)?)
        .map_err(|error| Error::Utf8 { position: error.utf8_error().valid_up_to() })
}

/// Return the text, and for each id the index of the character in which its bytes begin, as tiktoken
/// does: a token that begins inside a character gets the index of that character.
///
/// ```
/// # use bytemill::{decode::decode_with_offsets, vocab::Vocab};
/// let vocab = Vocab::from_merges(&[], &[])?;
/// let ids: Vec<u32> = "aéb".bytes().map(u32::from).collect();
/// assert_eq!(decode_with_offsets(&vocab, &ids)?, ("aéb".to_owned(), vec![0, 1, 1, 2]));
/// # Ok::<(), bytemill::Error>(())
/// ```
pub fn decode_with_offsets(vocab: &Vocab, ids: &[u32]) -> Result<(String, Vec<usize>)> {
    let text = decode_strict(vocab, ids)?;
    Ok((text, character_offsets(vocab, ids)?))
}

/// Return for each id the index of the character in which its bytes begin; the ids must decode to UTF-8.
pub(crate) fn character_offsets(vocab: &Vocab, ids: &[u32]) -> Result<Vec<usize>> {
    let mut n_characters: usize = 0;
    let mut offsets = Vec::with_capacity(ids.len());
    for (position, &id) in ids.iter().enumerate() {
        if position.is_multiple_of(CHECK_IDS) {
            interrupt::check();
        }
        let bytes = token(vocab, id, position)?;
        let begins_inside = bytes.first().is_some_and(|&byte| continues(byte));
        offsets.push(n_characters.saturating_sub(begins_inside.into()));
        n_characters += bytes.iter().filter(|&&byte| !continues(byte)).count();
    }
    Ok(offsets)
}

/// Decodes ids one by one and never returns part of a character.
///
/// The results of all calls, joined, equal [`decode_lossy`] of all ids.
///
/// ```
/// # use bytemill::{decode::DecodeStream, vocab::Vocab};
/// let vocab = Vocab::from_merges(&[], &[])?;
/// let mut stream = DecodeStream::default();
/// assert_eq!(stream.push(&vocab, 0xC3)?, "");
/// assert_eq!(stream.push(&vocab, 0xA9)?, "é");
/// assert_eq!(stream.finish(), "");
/// # Ok::<(), bytemill::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct DecodeStream {
    /// The start of an incomplete character: at most 3 bytes between calls.
    pending: Vec<u8>,
    n_pushed: usize,
}

impl DecodeStream {
    /// Add `id` and return the text that it completes.
    pub fn push(&mut self, vocab: &Vocab, id: u32) -> Result<String> {
        self.pending.extend_from_slice(token(vocab, id, self.n_pushed)?);
        self.n_pushed += 1;
        let complete = self.pending.len() - unfinished(&self.pending);
        let text = String::from_utf8_lossy(&self.pending[..complete]).into_owned();
        self.pending.drain(..complete);
        Ok(text)
    }

    /// Return the remaining text at the end of the ids: nothing, or U+FFFD for an incomplete character.
    pub fn finish(self) -> String {
        String::from_utf8_lossy(&self.pending).into_owned()
    }
}

/// Return the number of bytes at the end that may still become a character.
fn unfinished(bytes: &[u8]) -> usize {
    let mut rest = bytes;
    while let Err(error) = std::str::from_utf8(rest) {
        match error.error_len() {
            Some(bad) => rest = &rest[error.valid_up_to() + bad..],
            None => return rest.len() - error.valid_up_to(),
        }
    }
    0
}

fn continues(byte: u8) -> bool {
    (0x80..0xC0).contains(&byte)
}

pub(crate) fn token(vocab: &Vocab, id: u32, position: usize) -> Result<&[u8]> {
    vocab.token_bytes(id).ok_or_else(|| Error::UnknownId { id, position, n_vocab: vocab.n_vocab() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn vocab() -> Vocab {
        Vocab::from_merges(&[(0xE4, 0xB8), (0xC3, 0xA9), (257, 0xC3)], &["<end>"]).unwrap()
    }

    proptest! {
        #[test]
        fn a_stream_gives_what_lossy_decoding_gives(
            ids in prop::collection::vec(prop_oneof![0..260_u32, Just(0xE4), Just(0xB8), Just(0xAD), Just(0xF0), Just(0x9F)], 0..40)
        ) {
            let vocab = vocab();
            let mut stream = DecodeStream::default();
            let mut text = String::new();
            for &id in &ids {
                text += &stream.push(&vocab, id).unwrap();
                prop_assert!(stream.pending.len() <= 3);
            }
            prop_assert_eq!(text + &stream.finish(), decode_lossy(&vocab, &ids).unwrap());
        }
    }

    proptest! {
        #[test]
        fn bytes_are_the_tokens_one_after_the_other(ids in prop::collection::vec(0..265_u32, 0..500)) {
            let long = ["x".repeat(15), "y".repeat(16), "z".repeat(300)];
            let special: Vec<&str> = long.iter().map(String::as_str).chain(["<end>"]).collect();
            let vocab = Vocab::from_merges(&[(0xE4, 0xB8), (0xC3, 0xA9), (257, 0xC3)], &special).unwrap();
            let expected: Option<Vec<&[u8]>> = ids.iter().map(|&id| vocab.token_bytes(id)).collect();
            prop_assert_eq!(decode_bytes(&vocab, &ids).ok(), expected.map(|tokens| tokens.concat()));
        }
    }

    #[test]
    fn an_unknown_id_is_told_with_its_place() {
        let message = decode_bytes(&vocab(), &[97, 260]).unwrap_err().to_string();
        assert_eq!(message, "token id 260 at position 1 is not in this vocabulary of 260 ids");
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced_or_refused() {
        let ids = [97, 0xE4, 0xB8, 98, 259];
        assert_eq!(decode_lossy(&vocab(), &ids).unwrap(), "a\u{fffd}b<end>");
        assert!(matches!(decode_strict(&vocab(), &ids), Err(Error::Utf8 { position: 1 })));
    }
}
