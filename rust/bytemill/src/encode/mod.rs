//! Text to ids: split, look each pretoken up, merge those that are not remembered.

mod batch;
mod memory;
mod special;
mod table;
mod truncate;

pub(crate) use batch::encode_batch;
pub(crate) use memory::Memory;
pub use special::{SpecialPolicy, Specials};
pub use truncate::Wanted;

use crate::error::{Error, Result};
use crate::split::Splitter;
use crate::vocab::{PIECES, Scratch, Vocab};
use memory::{MOST_IDS, Tables};
use std::mem::MaybeUninit;
use std::ops::Range;

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
        parts.splitter.split_batches(text, |start, ends| merging.batch(Span::Pretoken, text, start, ends, out))
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

/// What to do with a span of text that no table holds.
#[derive(Clone, Copy)]
enum Span {
    Pretoken,
    /// One that nothing bridges to what is beside it.
    Piece,
}

impl Merging<'_> {
    /// Appends the ids of the spans of `text` that follow each other from `start` and end at `ends`.
    #[inline]
    fn batch(&mut self, kind: Span, text: &str, mut start: usize, ends: &[usize], out: &mut Vec<u32>) {
        for ends in ends.chunks(CHUNK) {
            let buckets = prefetch(self.tables(), text.as_bytes(), start, ends);
            let rest = ends.iter().copied().zip(buckets);
            start = self.chunk(kind, text, start, rest, out);
        }
    }

    /// As [`Merging::batch`] for a few spans, each with its bucket; where the last one ends.
    #[inline]
    fn chunk(
        &mut self,
        kind: Span,
        text: &str,
        mut start: usize,
        mut rest: impl ExactSizeIterator<Item = (usize, u32)>,
        out: &mut Vec<u32>,
    ) -> usize {
        loop {
            out.reserve(rest.len() * MOST_IDS);
            let (n, missed) = recall(self.tables(), text.as_bytes(), &mut start, &mut rest, out.spare_capacity_mut());
            // SAFETY: `recall` has written at least `n` ids to the spare capacity, one behind the other.
            #[allow(unsafe_code)]
            unsafe {
                out.set_len(out.len() + n);
            }
            match (missed, kind) {
                (None, _) => return start,
                (Some(span), Span::Pretoken) => self.pretoken(text, span, out),
                (Some(span), Span::Piece) => self.piece(text.as_bytes(), span, out),
            }
        }
    }

    /// Appends the ids of the pretoken `text[span]`.
    #[inline(never)]
    fn pretoken(&mut self, text: &str, span: Range<usize>, out: &mut Vec<u32>) {
        if let Some(id) = self.vocab.only_as_a_whole(&text.as_bytes()[span.clone()]) {
            return out.push(id);
        }
        if span.len() <= UNCUT_BYTES && text.as_bytes()[span.clone()].is_ascii() {
            return self.piece(text.as_bytes(), span, out);
        }
        let mut start = span.start;
        while start < span.end {
            let mut ends = [0; PIECES];
            let n = self.vocab.bridges().cut(text, start, span.end, &mut ends);
            if (start..ends[0]) == span {
                return self.piece(text.as_bytes(), span, out);
            }
            self.batch(Span::Piece, text, start, &ends[..n], out);
            start = ends[n - 1];
        }
    }

    /// Appends the ids of a pretoken of any bytes.
    fn damaged(&mut self, pretoken: &[u8], out: &mut Vec<u32>) {
        match str::from_utf8(pretoken) {
            Ok(pretoken) => self.batch(Span::Pretoken, pretoken, 0, &[pretoken.len()], out),
            Err(_) => match self.vocab.only_as_a_whole(pretoken) {
                Some(id) => out.push(id),
                None => self.vocab.merge(pretoken, &mut self.scratch, out),
            },
        }
    }

    /// Appends the ids of the piece `text[span]`, which is not where its length suggests.
    #[inline(never)]
    fn piece(&mut self, text: &[u8], span: Range<usize>, out: &mut Vec<u32>) {
        if self.tables().recall_many(text, span.clone(), out) {
            return;
        }
        let (first, piece) = (out.len(), &text[span]);
        self.vocab.merge(piece, &mut self.scratch, out);
        if out.len() - first <= MOST_IDS
            && let Some(tables) = &mut self.own
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

/// Tokens bridge nearly all pairs of ASCII characters, so that cutting a short pretoken of them is seldom a gain.
const UNCUT_BYTES: usize = 32;

/// So many spans are asked from memory before the first of them is looked at.
const CHUNK: usize = 64;

/// The buckets of the spans of `text` that follow each other from `start` and end at `ends`.
#[inline]
fn prefetch(tables: &Tables, text: &[u8], mut start: usize, ends: &[usize]) -> [u32; CHUNK] {
    let mut buckets = [0; CHUNK];
    for (bucket, &end) in buckets.iter_mut().zip(ends) {
        let span = std::mem::replace(&mut start, end)..end;
        *bucket = match span.len() {
            ..=8 => tables.short.prefetch(text, span),
            9..=16 => tables.medium.prefetch(text, span),
            17..=32 => tables.long.prefetch(text, span),
            _ => 0,
        };
    }
    buckets
}

/// Writes the ids of the spans of `text` that follow each other from `start` to `out`, up to the first
/// that `tables` do not hold. How many ids these are, and that span.
///
/// `rest` has where each span ends and its bucket, `out` room for `MOST_IDS` ids for each.
#[inline]
fn recall(
    tables: &Tables,
    text: &[u8],
    start: &mut usize,
    rest: &mut impl Iterator<Item = (usize, u32)>,
    out: &mut [MaybeUninit<u32>],
) -> (usize, Option<Range<usize>>) {
    let mut n = 0;
    for (end, bucket) in rest {
        let span = std::mem::replace(start, end)..end;
        let found = match span.len() {
            ..=8 => tables.short.write(bucket, text, span.clone(), &mut out[n..]),
            9..=16 => tables.medium.write(bucket, text, span.clone(), &mut out[n..]),
            17..=32 => tables.long.write(bucket, text, span.clone(), &mut out[n..]),
            _ => None,
        };
        match found {
            Some(more) => n += more,
            None => return (n, Some(span)),
        }
    }
    (n, None)
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
