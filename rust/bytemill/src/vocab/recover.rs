//! Which merge makes each token: found by merging the token's own bytes until two parts are left.

use super::fault::VocabFault;
use super::merge::{Merger, Scratch};
use super::pairs::{PairTable, id_of, rank_of};
use super::tokens::Tokens;
use super::{A_BYTE, NEVER_MADE};

/// Ranks allow every split of a token into two tokens, so each is looked up; longer tokens would
/// make that slow, and no vocabulary in use has any.
const MAX_TOKEN_BYTES: usize = 4096;

/// The list of merges that encodes as tiktoken does with ids as ranks, ordered by the id they make.
///
/// A token that its own bytes do not merge to has none: tiktoken emits it only as a whole pretoken.
pub(super) fn merges(tokens: &Tokens) -> Result<Vec<(u32, u32)>, VocabFault> {
    let merger = Merger::new(&tokens.byte_ids()?, all_splits(tokens)?);
    let mut scratch = Scratch::default();
    Ok(tokens.iter().filter_map(|(id, bytes)| last_pair(&merger, bytes, id, &mut scratch)).collect())
}

/// For each id the rank of the merge that makes it from its own bytes, `A_BYTE` or `NEVER_MADE`.
pub(super) fn made_by(tokens: &Tokens, merger: &Merger) -> Vec<u32> {
    let mut scratch = Scratch::default();
    let mut made_by = vec![NEVER_MADE; tokens.n_ids()];
    for (id, bytes) in tokens.iter() {
        made_by[id as usize] = match last_pair(merger, bytes, id, &mut scratch) {
            Some((left, right)) => rank_of(merger.pairs().get(left, right)),
            None if bytes.len() == 1 => A_BYTE,
            None => NEVER_MADE,
        };
    }
    made_by
}

/// The two parts that merge last when `bytes` merge to `id`; none if they do not, or are one byte.
fn last_pair(merger: &Merger, bytes: &[u8], id: u32, scratch: &mut Scratch) -> Option<(u32, u32)> {
    let mut parts = Vec::with_capacity(bytes.len());
    merger.merge_down_to(2, bytes, scratch, &mut parts);
    match parts[..] {
        [left, right] if id_of(merger.pairs().get(left, right)) == id => Some((left, right)),
        _ => None,
    }
}

/// Every pair of tokens that together are a token, ranked by that token's id.
fn all_splits(tokens: &Tokens) -> Result<PairTable, VocabFault> {
    let mut table = PairTable::with_capacity(tokens.n_ids() * 2);
    for (id, bytes) in tokens.iter() {
        if bytes.len() > MAX_TOKEN_BYTES {
            let index = id as usize;
            return Err(VocabFault::TokenTooLong { index, length: bytes.len(), limit: MAX_TOKEN_BYTES });
        }
        for middle in 1..bytes.len() {
            let (left, right) = bytes.split_at(middle);
            if let (Some(left), Some(right)) = (tokens.id(left), tokens.id(right)) {
                table.insert(left, right, id, id);
            }
        }
    }
    Ok(table)
}
