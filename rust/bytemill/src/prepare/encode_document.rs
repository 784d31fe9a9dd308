//! What preparing needs of a tokenizer.

use crate::error::Result;
use crate::tokenizer::Tokenizer;

/// The special token that begins each document, where the vocabulary has it.
const END_OF_TEXT: &str = "<|endoftext|>";

/// What preparing needs of a tokenizer.
pub trait EncodeDocument: Sync {
    /// What appends the ids of a text to a vector; special tokens in the text are text. Each thread asks for its own.
    fn encoder(&self) -> impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>;
    /// Whether [`EncodeDocument::first_cut`] finds places in ordinary text.
    fn cuts(&self) -> bool;
    /// The first place, after the beginning, at which a text may be cut so that its parts encode alone as together.
    fn first_cut(&self, text: &[u8]) -> Option<usize>;
    /// The bytes of a token of text; none for ids that text never becomes.
    fn token_bytes(&self, id: u32) -> Option<&[u8]>;
    /// Whether the bytes of a text's ids, put together, are the text.
    fn keeps_text(&self) -> bool {
        true
    }
    /// Bytes of memory that an encoder takes for itself.
    fn encoder_bytes(&self) -> u64 {
        0
    }
    /// Every id is below this.
    fn n_vocab(&self) -> u32;
    /// The id to put at each document's start, if the vocabulary has one for this.
    fn end_of_text(&self) -> Option<u32>;
    /// SHA-256, in hexadecimal, over all that decides how text is encoded.
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
        // Tables of 4 to 18 MiB, by the size of the vocabulary.
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
