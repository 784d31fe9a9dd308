//! Text to ids: split, look each pretoken up, merge those that are not remembered.

mod batch;
mod memory;
mod special;
mod table;

pub(crate) use batch::encode_batch;
pub(crate) use memory::Memory;
pub use special::{SpecialPolicy, Specials};

use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::{Scratch, Vocab};
use memory::Tables;
use std::ops::Range;
use table::Table;

/// Positions inside one text are 32 bits wide.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// What encoders share: the parts of a tokenizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'t> {
    pub(crate) vocab: &'t Vocab,
    pub(crate) splitter: &'t Splitter,
    pub(crate) memory: &'t Memory,
}

/// Encodes text after text with buffers that it keeps; make one per thread.
#[derive(Debug)]
pub(crate) struct Encoder<'t> {
    parts: Parts<'t>,
    merging: Merging<'t>,
}

/// What it takes to encode a pretoken.
#[derive(Debug)]
struct Merging<'t> {
    vocab: &'t Vocab,
    seeded: &'t Tables,
    own: Option<Tables>,
    scratch: Scratch,
}

impl<'t> Encoder<'t> {
    pub(crate) fn new(parts: Parts<'t>) -> Self {
        let seeded = parts.memory.seeded(parts.vocab);
        Self { parts, merging: Merging { vocab: parts.vocab, seeded, own: None, scratch: Scratch::default() } }
    }

    /// Appends the ids of `text`, in which special tokens are text like any other.
    pub(crate) fn text(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        self.prepare(text.len())?;
        let Self { parts, merging } = self;
        parts.splitter.split_batches(text, |start, ends| merging.batch(text, start, ends, out))
    }

    /// As [`Encoder::text`], for bytes that need not be UTF-8.
    pub(crate) fn bytes(&mut self, text: &[u8], out: &mut Vec<u32>) -> Result<()> {
        if let Ok(text) = str::from_utf8(text) {
            return self.text(text, out);
        }
        self.prepare(text.len())?;
        let Self { parts, merging } = self;
        parts.splitter.split(text, |pretoken| merging.damaged(pretoken, out))
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

    /// Gets tables of its own, if `n_bytes` of text are worth it.
    fn prepare(&mut self, n_bytes: usize) -> Result<()> {
        if self.merging.own.is_none() {
            self.merging.own = self.parts.memory.own(self.parts.vocab, n_bytes);
        }
        check_length(n_bytes)
    }
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if let Some(tables) = self.merging.own.take() {
            self.parts.memory.give_back(tables);
        }
    }
}

/// Ids on their way from the tables to the output.
const BUFFER: usize = 1024;

impl Merging<'_> {
    /// Appends the ids of the pretokens of `text` that follow each other from `start` and end at `ends`.
    fn batch(&mut self, text: &str, mut start: usize, ends: &[usize], out: &mut Vec<u32>) {
        let mut buffer = [0; BUFFER];
        let mut n = 0;
        for &end in ends {
            let found = match end - start {
                ..=8 => recalled(&self.tables().short, text, start..end, &mut buffer, n),
                9..=16 => recalled(&self.tables().medium, text, start..end, &mut buffer, n),
                _ => None,
            };
            match found {
                Some(more) if n + more <= BUFFER - ROOM => n += more,
                Some(more) => {
                    out.extend_from_slice(&buffer[..n + more]);
                    n = 0;
                }
                None => {
                    out.extend_from_slice(&buffer[..n]);
                    n = 0;
                    self.pretoken(text, start..end, out);
                }
            }
            start = end;
        }
        out.extend_from_slice(&buffer[..n]);
    }

    /// Appends the ids of the pretoken `text[span]`.
    #[inline(never)]
    fn pretoken(&mut self, text: &str, span: Range<usize>, out: &mut Vec<u32>) {
        if self.tables().recall(text.as_bytes(), span.clone(), out) {
            return;
        }
        let Range { mut start, end } = span;
        if let Some(id) = self.vocab.only_as_a_whole(&text.as_bytes()[start..end]) {
            return out.push(id);
        }
        while start < end {
            let mut ends = [0; 64];
            let n = self.vocab.bridges().cut(&text[..end], start, &mut ends);
            for &end in &ends[..n] {
                self.piece(text.as_bytes(), start..end, out);
                start = end;
            }
        }
    }

    /// Appends the ids of a pretoken of any bytes.
    fn damaged(&mut self, pretoken: &[u8], out: &mut Vec<u32>) {
        match str::from_utf8(pretoken) {
            Ok(pretoken) => self.pretoken(pretoken, 0..pretoken.len(), out),
            Err(_) => match self.vocab.only_as_a_whole(pretoken) {
                Some(id) => out.push(id),
                None => self.vocab.merge(pretoken, &mut self.scratch, out),
            },
        }
    }

    /// Appends the ids of the piece `text[span]`, which nothing bridges to what is beside it.
    #[inline]
    fn piece(&mut self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) {
        if !self.tables().recall(text, span.clone(), out) {
            self.merged(&text[span], out);
        }
    }

    #[inline(never)]
    fn merged(&mut self, piece: &[u8], out: &mut Vec<u32>) {
        let first = out.len();
        self.vocab.merge(piece, &mut self.scratch, out);
        if let Some(tables) = &mut self.own
            && self.vocab.only_as_a_whole(piece).is_none()
        {
            tables.keep(piece, &out[first..]);
        }
    }

    #[inline]
    fn tables(&self) -> &Tables {
        self.own.as_ref().unwrap_or(self.seeded)
    }
}

/// What one look into a table may write to the buffer.
const ROOM: usize = Table::<2>::MOST_IDS;

/// Writes the ids of `text[span]` to `buffer` from `n` on, where `table` has them; how many count.
#[inline]
fn recalled<const WORDS: usize>(
    table: &Table<WORDS>,
    text: &str,
    span: Range<usize>,
    buffer: &mut [u32; BUFFER],
    n: usize,
) -> Option<usize> {
    let (ids, more) = table.get(text.as_bytes(), span)?;
    buffer[n..n + 2 * WORDS].copy_from_slice(ids.as_flattened());
    Some(more)
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
