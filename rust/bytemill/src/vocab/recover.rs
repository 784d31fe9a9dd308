//! Finds the merge that makes each token, by merging the token's own bytes until two parts are left.

use super::merge::{Merger, Scratch};
use super::pairs::{MOST_MERGES, Merge, NO_MERGE, id_of, rank_of};
use super::tokens::Tokens;
use crate::error::VocabFault;
use crate::interrupt::Pace;

/// Ranks allow every split of a token into two tokens, and each may need a lookup. Longer tokens would
/// make that slow, and no real vocabulary has any.
const MAX_TOKEN_BYTES: usize = 4096;

/// Marks a token without a merge: its own bytes do not merge to it.
pub(super) const NEVER_MADE: u32 = u32::MAX;
/// Marks a single byte, which needs no merge.
pub(super) const A_BYTE: u32 = u32::MAX - 1;

/// An engine, and for each id the merge that makes it, as returned by [`made_by`].
pub(super) struct Recovered {
    pub(super) engine: Merger,
    pub(super) made_by: Vec<u32>,
}

/// Build the engine that encodes as tiktoken does with ids as ranks; its merges are ordered by the id they make.
///
/// A token whose own bytes do not merge to it has no merge: tiktoken emits it only as a whole pretoken.
pub(super) fn from_ranks(tokens: &Tokens) -> Result<Recovered, VocabFault> {
    if let Some((id, bytes)) = tokens.iter().find(|(_, bytes)| bytes.len() > MAX_TOKEN_BYTES) {
        return Err(VocabFault::TokenTooLong { index: id as usize, length: bytes.len(), limit: MAX_TOKEN_BYTES });
    }
    match in_order(tokens)? {
        Some(recovered) => Ok(recovered),
        None => from_all_splits(tokens),
    }
}

/// Build each token from the merges of earlier tokens, if that works for all of them, as it nearly always does.
///
/// Merges of lower rank come first. So if they alone leave two parts, all merges would pass through these parts.
fn in_order(tokens: &Tokens) -> Result<Option<Recovered>, VocabFault> {
    let mut engine = Merger::with_capacity(&tokens.byte_ids()?, tokens.n_ids());
    let mut buffers = Buffers::default();
    let mut made_by = vec![NEVER_MADE; tokens.n_ids()];
    for (id, bytes) in tokens.iter() {
        made_by[id as usize] = match *buffers.merge_to_two(&engine, bytes) {
            [_] => A_BYTE,
            [left, right] => {
                let merge = Merge { parts: (left, right), id };
                let rank = engine.pairs().merges().len() as u32;
                // The same two parts are the same bytes, and no two tokens have the same bytes.
                if engine.push(merge, bytes).is_err() {
                    return Ok(None);
                }
                rank
            }
            _ => return Ok(None),
        };
    }
    Ok(Some(Recovered { engine, made_by }))
}

/// Like [`in_order`], for vocabularies where merges need tokens of higher rank, or where tokens cannot be made at all.
fn from_all_splits(tokens: &Tokens) -> Result<Recovered, VocabFault> {
    let by_ranks = all_splits(tokens)?;
    let mut engine = Merger::with_capacity(&tokens.byte_ids()?, tokens.n_ids());
    let mut buffers = Buffers::default();
    let mut made_by = vec![NEVER_MADE; tokens.n_ids()];
    for (id, bytes) in tokens.iter() {
        if bytes.len() == 1 {
            made_by[id as usize] = A_BYTE;
        } else if let Some((parts, _)) = buffers.last_merge(&by_ranks, bytes, id) {
            let rank = engine.pairs().merges().len() as u32;
            if engine.push(Merge { parts, id }, bytes).is_ok() {
                made_by[id as usize] = rank;
            }
        }
    }
    Ok(Recovered { engine, made_by })
}

/// Return for each id the rank of the merge that makes it from its own bytes, `A_BYTE` or `NEVER_MADE`.
pub(super) fn made_by(tokens: &Tokens, engine: &Merger) -> Vec<u32> {
    let mut buffers = Buffers::default();
    let mut made_by = vec![NEVER_MADE; tokens.n_ids()];
    for (id, bytes) in tokens.iter() {
        made_by[id as usize] = match buffers.last_merge(engine, bytes, id) {
            _ if bytes.len() == 1 => A_BYTE,
            Some((_, rank)) => rank,
            None => NEVER_MADE,
        };
    }
    made_by
}

/// Buffers that are reused from token to token.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    parts: Vec<u32>,
    pace: Pace,
}

impl Buffers {
    /// Return the result of merging `bytes` down to two parts.
    fn merge_to_two(&mut self, engine: &Merger, bytes: &[u8]) -> &[u32] {
        self.pace.advance(bytes.len());
        self.parts.clear();
        engine.merge_down_to(2, bytes, &mut self.scratch, &mut self.parts);
        &self.parts
    }

    /// Return the last two parts before `bytes` merge to `id`, and the rank of their merge; `None` if they do not.
    fn last_merge(&mut self, engine: &Merger, bytes: &[u8], id: u32) -> Option<((u32, u32), u32)> {
        let [left, right] = *self.merge_to_two(engine, bytes) else { return None };
        let made = engine.pairs().get(left, right);
        (made != NO_MERGE && id_of(made) == id).then_some(((left, right), rank_of(made)))
    }
}

/// Return every pair of tokens that together are a token, ordered by that token's id. Only one of the
/// pairs of a token ever occurs in merging, so the order among them does not matter.
fn all_splits(tokens: &Tokens) -> Result<Merger, VocabFault> {
    let mut engine = Merger::with_capacity(&tokens.byte_ids()?, tokens.n_ids() * 2);
    let mut pace = Pace::default();
    for (id, bytes) in tokens.iter() {
        pace.advance(bytes.len() * bytes.len());
        for middle in 1..bytes.len() {
            let (left, right) = bytes.split_at(middle);
            if let Some(left) = tokens.id(left)
                && let Some(right) = tokens.id(right)
            {
                if engine.pairs().merges().len() == MOST_MERGES {
                    return Err(VocabFault::TooManyMerges { limit: MOST_MERGES });
                }
                // No two tokens have the same bytes, so no pair occurs twice.
                let _ = engine.push(Merge { parts: (left, right), id }, bytes);
            }
        }
    }
    Ok(engine)
}
