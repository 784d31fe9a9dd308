//! Text to ids: split, look each pretoken up, merge those that are no token.

mod batch;
mod special;

pub use batch::encode_batch;
pub use special::{SpecialPolicy, Specials};

use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::{Scratch, Vocab};

/// Positions inside one text are 32 bits wide.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Encodes text after text with buffers that it keeps; make one per thread.
#[derive(Debug)]
pub(crate) struct Encoder<'t> {
    vocab: &'t Vocab,
    splitter: &'t Splitter,
    scratch: Scratch,
}

impl<'t> Encoder<'t> {
    pub(crate) fn new(vocab: &'t Vocab, splitter: &'t Splitter) -> Self {
        Self { vocab, splitter, scratch: Scratch::default() }
    }

    /// Appends the ids of `text`, in which special tokens are text like any other.
    pub(crate) fn text(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        check_length(text.len())?;
        self.splitter.split_str(text, |pretoken| self.vocab.encode_pretoken(pretoken, &mut self.scratch, out))
    }

    /// As [`Encoder::text`], for bytes that need not be UTF-8.
    pub(crate) fn bytes(&mut self, text: &[u8], out: &mut Vec<u32>) -> Result<()> {
        check_length(text.len())?;
        self.splitter.split(text, |pretoken| self.vocab.encode_pretoken(pretoken, &mut self.scratch, out))
    }

    /// Appends the ids of `text` with those special tokens that `policy` allows.
    pub(crate) fn with_special(&mut self, text: &str, policy: &SpecialPolicy, out: &mut Vec<u32>) -> Result<()> {
        policy.check(text)?;
        let mut start = 0;
        while let Some((span, id)) = policy.next_special(text, start) {
            self.text(&text[start..span.start], out)?;
            out.push(id);
            start = span.end;
        }
        self.text(&text[start..], out)
    }
}

fn check_length(n_bytes: usize) -> Result<()> {
    if n_bytes < MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Error::Argument {
        name: "text",
        got: format!("{n_bytes} bytes long"),
        expected: format!("less than {MAX_TEXT_BYTES} bytes in one call: encode it in parts"),
    })
}
