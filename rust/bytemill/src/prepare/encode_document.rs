//! The interface of a tokenizer for preparation.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// The special token at the start of each document, if the vocabulary has it.
const END_OF_TEXT: &str = "<|endoftext|>";

/// The functions of a tokenizer that preparation needs.
pub trait EncodeDocument: Sync {
    /// Return a function that appends the ids of a text to a vector; special tokens in the text are ordinary text. Each
    /// thread gets its own.
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>;
    /// Return whether [`EncodeDocument::first_cut`] finds places in ordinary text.
    fn cuts(&self) -> bool;
    /// Return the first place after the start where a text may be split: encoding both parts separately must give the
    /// same ids.
    fn first_cut(&self, text: &[u8]) -> Option<usize>;
    /// Return the bytes of a text token; `None` for ids that text never produces.
    fn token_bytes(&self, id: u32) -> Option<&[u8]>;
    /// Return whether the concatenated bytes of a text's ids are the text.
    fn keeps_text(&self) -> bool {
        true
    }
    /// Return the memory that one encoder uses, in bytes.
    fn encoder_bytes(&self) -> u64 {
        0
    }
    /// Return the upper bound of all ids, exclusive.
    fn n_vocab(&self) -> u32;
    /// Return the id for the start of each document, if the vocabulary has one.
    fn end_of_text(&self) -> Option<u32>;
    /// Return the SHA-256, in hexadecimal, of everything that determines the encoding of text.
    fn fingerprint(&self) -> String;
}

impl EncodeDocument for Tokenizer {
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()> {
        let mut encoder = self.encoder();
        move |text, ids| encoder.bytes(text, ids)
    }

    fn cuts(&self) -> bool {
        Self::cuts(self)
    }

    fn first_cut(&self, text: &[u8]) -> Option<usize> {
        Self::first_cut(self, text)
    }

    fn encoder_bytes(&self) -> u64 {
        // Tables of 4 to 18 MiB, depending on the size of the vocabulary.
        (2 << 20) + 256 * self.vocab().n_vocab().next_power_of_two().clamp(1 << 13, 1 << 16) as u64
    }

    fn token_bytes(&self, id: u32) -> Option<&[u8]> {
        self.vocab().token_bytes(id).filter(|_| !self.vocab().is_only_special(id))
    }

    fn keeps_text(&self) -> bool {
        self.keeps_ordinary_text()
    }

    fn n_vocab(&self) -> u32 {
        self.vocab().n_vocab() as u32
    }

    fn end_of_text(&self) -> Option<u32> {
        self.encode_single_token(END_OF_TEXT.as_bytes()).filter(|&id| self.vocab().is_special(id))
    }

    fn fingerprint(&self) -> String {
        Self::fingerprint(self)
    }
}
