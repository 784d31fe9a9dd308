//! The second pass: documents in shuffled order, encoded on threads, passed on in order.
//!
//! Text is divided into units of a few hundred kilobytes: some documents, or a piece of a long one. A piece ends where
//! the tokenizer says that encoding both parts separately gives the same ids. A round of units is encoded while the
//! previous round is written. No data outlives the next round, so memory is bounded by two rounds.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::budget::{Share, UNITS_A_THREAD};
use super::encode_document::EncodeDocument;
use super::order::Order;
use super::scan::{Corpus, Span};
use crate::error::{Error, Result};
use crate::interrupt::{Workers, caught};

/// Bytes of text to search first for a place to split; then the search doubles them.
const CUT_WINDOW_BYTES: u64 = 4 << 10;

/// The encoding work: `n_items` spans of text, each a document of the result.
pub(super) struct EncodeJob<'a, T> {
    corpus: &'a Corpus,
    tokenizer: &'a T,
    order: &'a Order,
    n_items: u64,
    share: Share,
}

/// The work that one thread takes at a time.
#[derive(Clone)]
enum Unit {
    /// Whole items, by position.
    Items(Range<u64>),
    /// A part of one item; `begins` if it is the first part.
    Piece { span: Span, begins: bool },
}

/// The ids of some items, or of a piece of one item.
pub(super) struct Encoded {
    ids: Vec<u32>,
    ends: Vec<usize>,
    /// Whether the first of them begins a document, rather than continuing one.
    begins: bool,
    /// CRC32C of each part of a text.
    pub(super) parts: Vec<(Span, u32)>,
    /// Their input bytes.
    pub(super) input_bytes: u64,
}

impl Encoded {
    /// Return the ids of each document in order, and whether they begin it.
    pub(super) fn documents(&self) -> impl Iterator<Item = (bool, &[u32])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let begin = std::iter::once(self.begins).chain(std::iter::repeat(true));
        begin.zip(starts.zip(&self.ends).map(|(start, &end)| &self.ids[start..end]))
    }
}

/// The position of the rounds: the next item, and the offset in it.
struct Cursor {
    item: u64,
    within: u64,
}

impl<'a, T: EncodeDocument> EncodeJob<'a, T> {
    /// Create the work for all items of `order`, in units of `share`.
    pub(super) fn new(corpus: &'a Corpus, tokenizer: &'a T, order: &'a Order, share: Share) -> Self {
        let n_items = order.n_items(corpus);
        Self { corpus, tokenizer, order, n_items, share }
    }

    /// Call `sink` with the ids of all items from `first` in order, on the caller's thread.
    pub(super) fn run(&self, first: u64, mut sink: impl FnMut(&Encoded) -> Result<()>) -> Result<()> {
        let mut cursor = Cursor { item: first, within: 0 };
        let mut before = Vec::new();
        loop {
            let round = self.next_round(&mut cursor)?;
            let taken = AtomicUsize::new(0);
            let encoded = thread::scope(|scope| {
                let work = || self.encode_units(&round, &taken);
                // If the system refuses threads, the existing threads do the work, or this one.
                let workers = Workers::start(scope, self.share.n_threads.min(round.len()), work);
                before.iter().try_for_each(&mut sink)?;
                let mut units = if workers.is_empty() { work() } else { Vec::new() };
                units.extend(workers.join().into_iter().flatten());
                units.sort_unstable_by_key(|(number, _)| *number);
                units.into_iter().map(|(_, encoded)| encoded).collect::<Result<Vec<_>>>()
            })?;
            if encoded.is_empty() {
                return Ok(());
            }
            before = encoded;
        }
    }

    /// Return the units of the next round; no units at the end.
    fn next_round(&self, cursor: &mut Cursor) -> Result<Vec<Unit>> {
        let mut round = Vec::new();
        let mut left = self.share.unit_bytes * self.share.n_threads as u64 * UNITS_A_THREAD;
        while cursor.item < self.n_items && left > 0 {
            let span = self.order.span(self.corpus, cursor.item);
            let long = span.bytes.end - span.bytes.start > self.share.unit_bytes;
            let bytes = if long && self.tokenizer.cuts() && self.corpus.is_text(span.document) {
                self.take_piece(&span, cursor, &mut round)?
            } else {
                self.take_items(cursor, &mut round)
            };
            left = left.saturating_sub(bytes);
        }
        Ok(round)
    }

    /// Take whole items, up to about the size of a unit, and stop before an item that is split; return their bytes.
    fn take_items(&self, cursor: &mut Cursor, round: &mut Vec<Unit>) -> u64 {
        let (first, mut bytes) = (cursor.item, 0);
        while cursor.item < self.n_items && bytes < self.share.unit_bytes {
            let span = self.order.span(self.corpus, cursor.item);
            let n = span.bytes.end - span.bytes.start;
            if cursor.item > first && n > self.share.unit_bytes {
                break;
            }
            // Empty lines are not documents, so each document adds at least one byte.
            bytes += n;
            cursor.item += 1;
        }
        round.push(Unit::Items(first..cursor.item));
        bytes
    }

    /// Take a piece of a long item, up to the first place to split after a unit's length; return its bytes.
    fn take_piece(&self, span: &Span, cursor: &mut Cursor, round: &mut Vec<Unit>) -> Result<u64> {
        let start = span.bytes.start + cursor.within;
        let end = self.cut_after(span, start + self.share.unit_bytes)?;
        round.push(Unit::Piece { span: Span { bytes: start..end, ..span.clone() }, begins: cursor.within == 0 });
        cursor.within += end - start;
        if end == span.bytes.end {
            *cursor = Cursor { item: cursor.item + 1, within: 0 };
        }
        Ok(end - start)
    }

    /// Return the first place at or after byte `from` where the text may be split, or its end.
    fn cut_after(&self, span: &Span, from: u64) -> Result<u64> {
        let (mut buffer, mut window) = (Vec::new(), CUT_WINDOW_BYTES);
        loop {
            let end = (from + window).min(span.bytes.end);
            if from >= end {
                return Ok(span.bytes.end);
            }
            let text = self.corpus.read(&Span { bytes: from..end, ..span.clone() }, &mut buffer)?;
            match self.tokenizer.first_cut(&text) {
                Some(cut) => return Ok(from + cut as u64),
                None if end - from > self.share.longest_stretch => {
                    let place = self.corpus.place(span.document);
                    return Err(self
                        .share
                        .refuse_stretch(end - from, &format!("{place} (from byte {from} of the text)")));
                }
                None if end == span.bytes.end => return Ok(end),
                None => window *= 2,
            }
        }
    }

    /// Encode units of the round that no other thread has taken.
    fn encode_units(&self, round: &[Unit], taken: &AtomicUsize) -> Vec<(usize, Result<Encoded>)> {
        let mine = std::iter::repeat_with(|| taken.fetch_add(1, Ordering::Relaxed));
        let (mut encode, mut buffer) = (self.tokenizer.encoder(), Vec::new());
        mine.take_while(|&number| number < round.len())
            .map(|number| (number, caught(|| self.encode_unit(&round[number], &mut encode, &mut buffer))))
            .collect()
    }

    fn encode_unit(
        &self,
        unit: &Unit,
        encode: &mut impl FnMut(&[u8], &mut Vec<u32>) -> Result<()>,
        buffer: &mut Vec<u8>,
    ) -> Result<Encoded> {
        let mut encoded =
            Encoded { ids: Vec::new(), ends: Vec::new(), begins: true, parts: Vec::new(), input_bytes: 0 };
        let mut add = |span: &Span| {
            let text = self.corpus.read(span, buffer)?;
            if *span != self.corpus.span(span.document) && self.corpus.is_text(span.document) {
                encoded.parts.push((span.clone(), crc32c::crc32c(&text)));
            }
            encode(&text, &mut encoded.ids).map_err(|error| self.corpus.at_document(span.document, &error))?;
            encoded.ends.push(encoded.ids.len());
            encoded.input_bytes += span.bytes.end - span.bytes.start;
            Ok::<(), Error>(())
        };
        match unit {
            Unit::Items(positions) => {
                positions.clone().try_for_each(|position| add(&self.order.span(self.corpus, position)))?;
            }
            Unit::Piece { span, begins } => {
                add(span)?;
                encoded.begins = *begins;
            }
        }
        Ok(encoded)
    }
}
