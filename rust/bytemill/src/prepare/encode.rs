//! The second pass: documents in shuffled order, encoded on threads, handed over in order.
//!
//! Text travels in units of a few hundred kilobytes: some documents, or a piece of a long one, cut where the
//! tokenizer says that its parts encode alone as they do together. A round of units is encoded while the round
//! before it is written; nothing outlives a round, so memory is bounded by two of them.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::budget::{Share, UNITS_A_THREAD};
use super::encode_document::EncodeDocument;
use super::order::Order;
use super::scan::{Corpus, Span};
use crate::error::{Error, Result};
use crate::interrupt::{Workers, caught};

/// Where to cut is looked for in this much text at first, then in twice as much.
const CUT_WINDOW_BYTES: u64 = 4 << 10;

/// What is encoded: `n_items` spans of text, each a document of the result.
pub(super) struct EncodeJob<'a, T> {
    corpus: &'a Corpus,
    tokenizer: &'a T,
    order: &'a Order,
    n_items: u64,
    share: Share,
}

/// What one thread takes at once.
#[derive(Clone)]
enum Unit {
    /// Whole items, by position.
    Items(Range<u64>),
    /// A part of one; `begins` if it is the first.
    Piece { span: Span, begins: bool },
}

/// The ids of some items, or of a piece of one.
pub(super) struct Encoded {
    ids: Vec<u32>,
    ends: Vec<usize>,
    /// Whether the first of them is a document's beginning, and not more of the one before.
    begins: bool,
    /// CRC32C of each part of a text.
    pub(super) parts: Vec<(Span, u32)>,
    /// Bytes of input that they were.
    pub(super) input_bytes: u64,
}

impl Encoded {
    /// The ids of each document, in order, and whether they are its beginning.
    pub(super) fn documents(&self) -> impl Iterator<Item = (bool, &[u32])> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let begin = std::iter::once(self.begins).chain(std::iter::repeat(true));
        begin.zip(starts.zip(&self.ends).map(|(start, &end)| &self.ids[start..end]))
    }
}

/// How far the rounds are: the next item, and where in it.
struct Cursor {
    item: u64,
    within: u64,
}

impl<'a, T: EncodeDocument> EncodeJob<'a, T> {
    /// All items that `order` names, in units of `share`.
    pub(super) fn new(corpus: &'a Corpus, tokenizer: &'a T, order: &'a Order, share: Share) -> Self {
        let n_items = order.n_items(corpus);
        Self { corpus, tokenizer, order, n_items, share }
    }

    /// Calls `sink` with the ids of all items from `first` on, in order, on the caller's thread.
    pub(super) fn run(&self, first: u64, mut sink: impl FnMut(&Encoded) -> Result<()>) -> Result<()> {
        let mut cursor = Cursor { item: first, within: 0 };
        let mut before = Vec::new();
        loop {
            let round = self.next_round(&mut cursor)?;
            let taken = AtomicUsize::new(0);
            let encoded = thread::scope(|scope| {
                let work = || self.encode_units(&round, &taken);
                // Where the system gives no more threads, those that are there do the work, or this one.
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

    /// The units of the next round; none at the end.
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

    /// Whole items, about as many bytes as a unit has, up to one that is cut; gives their bytes.
    fn take_items(&self, cursor: &mut Cursor, round: &mut Vec<Unit>) -> u64 {
        let (first, mut bytes) = (cursor.item, 0);
        while cursor.item < self.n_items && bytes < self.share.unit_bytes {
            let span = self.order.span(self.corpus, cursor.item);
            let n = span.bytes.end - span.bytes.start;
            if cursor.item > first && n > self.share.unit_bytes {
                break;
            }
            // Empty lines are no documents, so each adds at least a byte.
            bytes += n;
            cursor.item += 1;
        }
        round.push(Unit::Items(first..cursor.item));
        bytes
    }

    /// A piece of a long item, up to the first place to cut behind a unit's length; gives its bytes.
    fn take_piece(&self, span: &Span, cursor: &mut Cursor, round: &mut Vec<Unit>) -> Result<u64> {
        let start = span.bytes.start + cursor.within;
        let end = self.cut_behind(span, start + self.share.unit_bytes)?;
        round.push(Unit::Piece { span: Span { bytes: start..end, ..span.clone() }, begins: cursor.within == 0 });
        cursor.within += end - start;
        if end == span.bytes.end {
            *cursor = Cursor { item: cursor.item + 1, within: 0 };
        }
        Ok(end - start)
    }

    /// The first place at or behind byte `from` where the text may be cut, or its end.
    fn cut_behind(&self, span: &Span, from: u64) -> Result<u64> {
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
                        .refuse_stretch(end - from, &format!("{place} (from byte {from} of the text on)")));
                }
                None if end == span.bytes.end => return Ok(end),
                None => window *= 2,
            }
        }
    }

    /// Encodes units of the round, each that no other thread has taken.
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
