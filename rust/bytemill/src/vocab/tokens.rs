//! Maps ids to bytes and back: the tokens of a vocabulary, without the merges.

use super::index::ByteIndex;
use super::limits::{MAX_ID, MAX_TOTAL_BYTES, NEVER_IN_TEXT, SLOT_BYTES};
use crate::error::{VocabFault, show};
use crate::interrupt::Pace;
use std::ops::Range;

/// Marks a byte without a token; no token has this id.
const NO_TOKEN: u32 = u32::MAX;
/// All tokens by id, and the ordinary tokens by bytes. Special tokens are not in the second map,
/// because merging never makes them.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    arena: Vec<u8>,
    /// The span of each id's token; start and end are equal for ids without a token.
    spans: Vec<(u32, u32)>,
    index: ByteIndex,
    /// The length of the longest ordinary token.
    longest_bytes: usize,
}

impl Tokens {
    /// Create ordinary tokens from `(bytes, id)`, in any order.
    pub(crate) fn new<'t>(entries: impl ExactSizeIterator<Item = (&'t [u8], u32)>) -> Result<Self, VocabFault> {
        let n = entries.len();
        let mut tokens = Self {
            arena: Vec::with_capacity(n * 8),
            spans: Vec::with_capacity(n),
            index: ByteIndex::with_capacity(n),
            longest_bytes: 0,
        };
        let mut pace = Pace::default();
        for (index, (bytes, id)) in entries.enumerate() {
            pace.advance(bytes.len());
            tokens.add(index, bytes, id)?;
        }
        Ok(tokens)
    }

    /// Add an ordinary token, the `index`-th in the caller's list.
    pub(crate) fn add(&mut self, index: usize, bytes: &[u8], id: u32) -> Result<(), VocabFault> {
        self.add_bytes(index, bytes, id)?;
        let Self { index: ids, arena, spans, .. } = self;
        if let Err(first) = ids.insert(bytes, id, |id| token(arena, spans, id)) {
            return Err(VocabFault::DuplicateToken { index, token: show(bytes), id, first });
        }
        self.longest_bytes = self.longest_bytes.max(bytes.len());
        Ok(())
    }

    /// Add a special token: it has an id, but cannot be looked up by its bytes.
    pub(crate) fn add_special(&mut self, index: usize, text: &str, id: u32) -> Result<(), VocabFault> {
        self.add_bytes(index, text.as_bytes(), id)
    }

    /// Return the bytes of `id`.
    #[inline]
    pub(crate) fn bytes(&self, id: u32) -> Option<&[u8]> {
        token(&self.arena, &self.spans, id)
    }

    /// Return each token padded with zeros, with its length as the last byte. The slot is all zeros for an
    /// id without a token and for a token that is too long.
    pub(crate) fn slots(&self) -> Vec<[u8; SLOT_BYTES]> {
        let mut slots = vec![[0; SLOT_BYTES]; self.n_ids()];
        for (id, bytes) in self.iter().filter(|(_, bytes)| bytes.len() < SLOT_BYTES) {
            let slot = &mut slots[id as usize];
            slot[..bytes.len()].copy_from_slice(bytes);
            slot[SLOT_BYTES - 1] = bytes.len() as u8;
        }
        slots
    }

    /// Return the id of the ordinary token with these bytes.
    #[inline]
    pub(crate) fn id(&self, bytes: &[u8]) -> Option<u32> {
        if bytes.len() > self.longest_bytes {
            return None;
        }
        self.index.get(bytes, |id| self.bytes(id))
    }

    /// Return the largest id plus one.
    pub(crate) fn n_ids(&self) -> usize {
        self.spans.len()
    }

    /// Return the total number of bytes of all tokens.
    pub(crate) fn n_bytes(&self) -> usize {
        self.arena.len()
    }

    /// Iterate over all tokens by ascending id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        (0..).zip(&self.spans).filter_map(|(id, _)| Some((id, self.bytes(id)?)))
    }

    /// Return the bytes of all tokens in one piece, and the range of each token in it, by ascending id.
    pub(crate) fn text(&self) -> (&[u8], impl Iterator<Item = (u32, Range<usize>)>) {
        let spans = (0..).zip(&self.spans).filter(|(_, (start, end))| start < end);
        (&self.arena, spans.map(|(id, &(start, end))| (id, start as usize..end as usize)))
    }

    /// Return the ids of the 256 single bytes. A byte that the vocabulary lacks and no text contains has [`NO_TOKEN`].
    pub(crate) fn byte_ids(&self) -> Result<[u32; 256], VocabFault> {
        let mut ids = [NO_TOKEN; 256];
        let mut missing = Vec::new();
        for (byte, id) in (0_u8..=255).zip(&mut ids) {
            match self.id(&[byte]) {
                Some(found) => *id = found,
                None if NEVER_IN_TEXT.contains(&byte) => missing.push(byte),
                None => return Err(VocabFault::MissingByte { byte }),
            }
        }
        let is_used = |byte: &u8| !missing.is_empty() && self.iter().any(|(_, bytes)| bytes.contains(byte));
        match missing.iter().find(|byte| is_used(byte)) {
            Some(&byte) => Err(VocabFault::MissingByte { byte }),
            None => Ok(ids),
        }
    }

    fn add_bytes(&mut self, index: usize, bytes: &[u8], id: u32) -> Result<(), VocabFault> {
        if bytes.is_empty() {
            return Err(VocabFault::EmptyToken { index, id });
        }
        if id > MAX_ID {
            return Err(VocabFault::IdTooLarge { index, token: show(bytes), id, limit: MAX_ID });
        }
        if let Some(first) = self.bytes(id) {
            return Err(VocabFault::DuplicateId { index, token: show(bytes), id, first: show(first) });
        }
        if self.arena.len() + bytes.len() > MAX_TOTAL_BYTES {
            return Err(VocabFault::TooLong { index, limit: MAX_TOTAL_BYTES });
        }
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(bytes);
        if self.spans.len() <= id as usize {
            self.spans.resize(id as usize + 1, (0, 0));
        }
        self.spans[id as usize] = (start, self.arena.len() as u32);
        Ok(())
    }
}

#[inline]
fn token<'t>(arena: &'t [u8], spans: &[(u32, u32)], id: u32) -> Option<&'t [u8]> {
    let &(start, end) = spans.get(id as usize)?;
    (start < end).then(|| &arena[start as usize..end as usize])
}
