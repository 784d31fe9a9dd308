//! The encoder of one thread: pretokens from a table of known ones, the others merged.

use super::chunk::{Chunk, recall};
use super::memory::{MOST_IDS, Memory, Tables};
use super::request::Request;
use super::table::Lookup;
use crate::error::{Error, Result};
use crate::interrupt::Pace;
use crate::split::Splitter;
use crate::vocab::{PIECES, Scratch, Vocab};

/// Positions inside one text, and lengths of its pieces, are 32 bits wide; texts are shorter than this.
const MAX_TEXT_BYTES: usize = u32::MAX as usize;

/// Texts from this length on contain enough new strings to justify tables of their own.
pub(super) const LONG_TEXT_BYTES: usize = 4 << 20;

/// What encoders share: the parts of a tokenizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'t> {
    pub(crate) vocab: &'t Vocab,
    pub(crate) splitter: &'t Splitter,
    pub(crate) memory: &'t Memory,
}

/// Encode texts one after another and reuse buffers between them. Make one encoder per thread.
#[derive(Debug)]
pub(crate) struct Encoder<'t> {
    pub(super) parts: Parts<'t>,
    merging: Merging<'t>,
    /// From one text to the next, since each may be short.
    pace: Pace,
}

/// What it takes to encode a pretoken.
#[derive(Debug)]
struct Merging<'t> {
    vocab: &'t Vocab,
    memory: &'t Memory,
    own: Option<Tables>,
    scratch: Scratch,
}

impl<'t> Encoder<'t> {
    pub(crate) fn new(parts: Parts<'t>) -> Self {
        let Parts { vocab, memory, .. } = parts;
        let merging = Merging { vocab, memory, own: None, scratch: Scratch::default() };
        Self { parts, merging, pace: Pace::default() }
    }

    /// Append the ids of `text` without searching for added tokens.
    pub(super) fn text(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        check_length(text.len())?;
        self.pace.advance(text.len());
        if text.len() >= LONG_TEXT_BYTES {
            let Parts { vocab, memory, .. } = self.parts;
            self.merging.own.get_or_insert_with(|| memory.for_long_text(vocab));
        }
        self.make_room(text, out)?;
        // Initializing a large chunk takes time too, so short texts use a small one.
        if text.len() <= SHORT_TEXT_BYTES {
            self.in_chunks::<{ FEW + PIECES }>(text, out)
        } else {
            self.in_chunks::<{ MANY + PIECES }>(text, out)
        }
    }

    /// Like [`Encoder::text`], with at most `ROOM` lookups per batch.
    pub(super) fn in_chunks<const ROOM: usize>(&mut self, text: &str, out: &mut Vec<u32>) -> Result<()> {
        let (Self { parts, merging, .. }, mut chunk) = (self, Chunk::<ROOM>::new());
        // A pattern may cut characters; its pretokens are then not UTF-8, which `Merging::pretokens` needs.
        if !parts.splitter.keeps_characters_whole() {
            return parts.splitter.split_str(text, |pretoken| merging.any_bytes(pretoken, out));
        }
        parts.splitter.split_batches(text, |text, start, ends| merging.pretokens(text, start, ends, &mut chunk, out))
    }

    /// Append the ids of bytes that need not be UTF-8; special tokens in them are text like any other.
    pub(crate) fn bytes(&mut self, text: &[u8], out: &mut Vec<u32>) -> Result<()> {
        if let Ok(text) = str::from_utf8(text) {
            return self.encode(text, Request::default(), out);
        }
        check_length(text.len())?;
        if let Some(position) = self.parts.vocab.first_unknown_byte(text) {
            return Err(Error::UnknownByte { byte: text[position], position });
        }
        if !self.parts.vocab.added().leaves_text() {
            return self.stretches(text, out);
        }
        let Self { parts, merging, .. } = self;
        parts.splitter.split(text, |pretoken| merging.any_bytes(pretoken, out))
    }

    /// As [`Encoder::bytes`], where added tokens are looked for in each stretch of UTF-8.
    fn stretches(&mut self, text: &[u8], out: &mut Vec<u32>) -> Result<()> {
        let mut invalid = Vec::new();
        for chunk in text.utf8_chunks() {
            if !chunk.valid().is_empty() {
                self.invalid(&mut invalid, out);
                self.encode(chunk.valid(), Request::default(), out)?;
            }
            invalid.extend_from_slice(chunk.invalid());
        }
        self.invalid(&mut invalid, out);
        Ok(())
    }

    /// Append the ids of a run of bytes that are not UTF-8, and empty it.
    fn invalid(&mut self, run: &mut Vec<u8>, out: &mut Vec<u32>) {
        if !run.is_empty() {
            self.merging.any_bytes(run, out);
            run.clear();
        }
    }
}

impl Drop for Encoder<'_> {
    fn drop(&mut self) {
        if let Some(tables) = self.merging.own.take() {
            self.parts.memory.give_back(tables);
        }
    }
}

impl Merging<'_> {
    /// Append the ids of the pretokens of `text` that follow each other from `start` and end at `ends`.
    #[inline]
    fn pretokens<const ROOM: usize>(
        &mut self,
        text: &str,
        mut start: usize,
        mut ends: &[usize],
        chunk: &mut Chunk<ROOM>,
        out: &mut Vec<u32>,
    ) {
        let mut pace = Pace::default(); // one pretoken may be all of a long text
        while !ends.is_empty() {
            let before = start;
            (start, ends) = chunk.fill(&self.tables().short, self.vocab.cut_points(), text, start, ends);
            self.chunk(text, chunk, out);
            pace.advance(start - before);
        }
    }

    /// Append the ids of all in `chunk`.
    #[inline]
    fn chunk<const ROOM: usize>(&mut self, text: &str, chunk: &Chunk<ROOM>, out: &mut Vec<u32>) {
        let lookups = chunk.lookups();
        let mut done = 0;
        loop {
            done += recall(&self.tables().short, &lookups[done..], out);
            let Some(missed) = lookups.get(done) else { return };
            self.missed(text.as_bytes(), missed, chunk.is_piece(done), out);
            done += 1;
        }
    }

    /// Append the ids of `lookup`, a pretoken or a piece of one that was not in its home bucket.
    #[inline(never)]
    fn missed(&mut self, text: &[u8], lookup: &Lookup<2>, is_piece: bool, out: &mut Vec<u32>) {
        if self.is_recalled(text, lookup, out) {
            return;
        }
        let string = &text[lookup.span()];
        if !is_piece && let Some(id) = self.vocab.only_as_a_whole(string) {
            return out.push(id);
        }
        let first = out.len();
        self.vocab.merge(string, &mut self.scratch, out);
        if let Some(tables) = &mut self.own
            && out.len() - first <= MOST_IDS
            // Do not store a piece that, as a whole pretoken, has another id.
            && (!is_piece || self.vocab.only_as_a_whole(string).is_none())
        {
            tables.keep(text, lookup, &out[first..]);
        }
    }

    /// Append the ids of `lookup` if a table has them. Return whether one has.
    fn is_recalled(&mut self, text: &[u8], lookup: &Lookup<2>, out: &mut Vec<u32>) -> bool {
        if self.own.is_none() {
            self.own = self.memory.own(self.vocab);
        }
        match &mut self.own {
            Some(tables) => tables.recall_and_promote(text, lookup, out),
            None => self.memory.seeded(self.vocab).recall(text, lookup, out),
        }
    }

    /// Append the ids of a pretoken that need not be UTF-8.
    fn any_bytes(&mut self, pretoken: &[u8], out: &mut Vec<u32>) {
        match str::from_utf8(pretoken) {
            Ok(pretoken) => {
                self.pretokens(pretoken, 0, &[pretoken.len()], &mut Chunk::<{ FEW + PIECES }>::new(), out);
            }
            Err(_) => match self.vocab.only_as_a_whole(pretoken) {
                Some(id) => out.push(id),
                None => self.vocab.merge(pretoken, &mut self.scratch, out),
            },
        }
    }

    #[inline]
    fn tables(&self) -> &Tables {
        self.own.as_ref().unwrap_or_else(|| self.memory.seeded(self.vocab))
    }
}

/// Number of spans prefetched before the first is read, for long texts.
pub(super) const MANY: usize = 64;
/// The same for short texts: about the number of pretokens in a sentence.
const FEW: usize = 16;
const SHORT_TEXT_BYTES: usize = 128;

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
