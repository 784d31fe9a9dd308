//! Which merge makes each token: found by merging the token's own bytes until two parts are left.

use super::fault::VocabFault;
use super::merge::{Merger, Scratch};
use super::pairs::{PairTable, id_of, rank_of};
use super::tokens::Tokens;
use super::{A_BYTE, NEVER_MADE};

/// Ranks allow every split of a token into two tokens, so each is looked up; longer tokens would
/// make that slow, and no vocabulary in use has any.
const MAX_TOKEN_BYTES: usize = 4096;

/// A list of merges, and for each id which of them makes it, as [`made_by`] tells.
pub(super) struct Recovered {
    pub(super) merges: Vec<(u32, u32)>,
    pub(super) made_by: Vec<u32>,
}

/// The list of merges that encodes as tiktoken does with ids as ranks, ordered by the id they make.
///
/// A token that its own bytes do not merge to has no merge: tiktoken emits it only as a whole pretoken.
pub(super) fn from_ranks(tokens: &Tokens) -> Result<Recovered, VocabFault> {
    let by_ranks = Merger::new(&tokens.byte_ids()?, all_splits(tokens)?);
    let mut buffers = Buffers::default();
    let (mut merges, mut made_by) = (Vec::new(), vec![NEVER_MADE; tokens.n_ids()]);
    for (id, bytes) in tokens.iter() {
        if let Some(pair) = last_pair(&by_ranks, bytes, id, &mut buffers) {
            made_by[id as usize] = merges.len() as u32;
            merges.push(pair);
        } else if bytes.len() == 1 {
            made_by[id as usize] = A_BYTE;
        }
    }
    Ok(Recovered { merges, made_by })
}

/// For each id the rank of the merge that makes it from its own bytes, `A_BYTE` or `NEVER_MADE`.
pub(super) fn made_by(tokens: &Tokens, merger: &Merger) -> Vec<u32> {
    let mut buffers = Buffers::default();
    let mut made_by = vec![NEVER_MADE; tokens.n_ids()];
    for (id, bytes) in tokens.iter() {
        made_by[id as usize] = match last_pair(merger, bytes, id, &mut buffers) {
            Some((left, right)) => rank_of(merger.pairs().get(left, right)),
            None if bytes.len() == 1 => A_BYTE,
            None => NEVER_MADE,
        };
    }
    made_by
}

/// What one token after the other is merged in.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    parts: Vec<u32>,
}

/// The two parts that merge last when `bytes` merge to `id`; none if they do not, or are one byte.
fn last_pair(merger: &Merger, bytes: &[u8], id: u32, buffers: &mut Buffers) -> Option<(u32, u32)> {
    let Buffers { scratch, parts } = buffers;
    parts.clear();
    merger.merge_down_to(2, bytes, scratch, parts);
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
            if let Some(left) = tokens.id(left)
                && let Some(right) = tokens.id(right)
            {
                table.insert(left, right, id, id);
            }
        }
    }
    Ok(table)
}
