//! Finds pretokens 64 bytes at a time: classes as bit masks, pretoken starts as algebra on them.
//!
//! Each block begins at the start of a pretoken, and no pattern looks back across such a place, so
//! blocks carry no state. What a block cannot decide is left to the next one, which begins at the
//! last start that is certain. If a pretoken is longer than a block, or contains characters that the
//! algebra leaves out (see `Starts`), the code for single characters finds its end.

// Each of these is a part of the loop over blocks, compiled once for each backend.
#![allow(clippy::inline_always)]
// Calling code for a backend that `Backend::all` has found needs `unsafe`, which is recorded in `backend`.
#![allow(unsafe_code)]

use super::backend::{BACKEND, Backend};
use super::block::{Block, Starts};
use super::known::Rule;
use super::lanes::{LANES, Lanes};
use super::unicode::Reader;
use super::{cl100k, gpt2, o200k};
use crate::hints;

#[cfg(target_arch = "aarch64")]
use super::lanes::Neon;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};

/// Pretokens in a batch: their ends and their text fit into the L1 cache.
pub(super) const BATCH: usize = 256;

/// Call `each` with batches of neighbouring pretokens: where the first begins and where each ends.
pub(super) fn split_by_hand(rule: Rule, text: &str, mut each: impl FnMut(usize, &[usize])) {
    let mut ends = [0; BATCH];
    let mut start = 0;
    while start < text.len() {
        let n = fill(rule, text, start, &mut ends);
        each(start, &ends[..n]);
        start = ends[n - 1];
    }
}

/// Write the ends of the pretokens from `start` until `ends` is full; return the count.
fn fill(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_by(*BACKEND, rule, text, start, ends)
}

/// Like [`fill`], on a chosen backend.
pub(super) fn fill_by(backend: Backend, rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    match backend {
        // SAFETY: a `Backend` is only created if the processor has its features.
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512 => unsafe { fill_avx512(rule, text, start, ends) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2 => unsafe { fill_avx2(rule, text, start, ends) },
        // NEON needs no function of its own: all code for this target may use it.
        #[cfg(target_arch = "aarch64")]
        Backend::Neon => fill_with::<Neon>(rule, text, start, ends),
        Backend::Scalar => fill_singly(rule, text, start, ends),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx512(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_with::<Avx512>(rule, text, start, ends)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn fill_avx2(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    fill_with::<Avx2>(rule, text, start, ends)
}

#[inline(always)]
fn fill_with<L: Lanes>(rule: Rule, text: &str, start: usize, ends: &mut [usize; BATCH]) -> usize {
    match rule {
        Rule::Gpt2 => fill_blocks::<L>(rule, text, start, ends, gpt2::starts),
        Rule::Cl100k(rules) => fill_blocks::<L>(rule, text, start, ends, |block| cl100k::starts(rules, block)),
        Rule::O200k => fill_blocks::<L>(rule, text, start, ends, o200k::starts),
    }
}

#[inline(always)]
fn fill_blocks<L: Lanes>(
    rule: Rule,
    text: &str,
    mut start: usize,
    ends: &mut [usize; BATCH],
    starts: impl Fn(&Block<L>) -> Starts,
) -> usize {
    let reader = Reader::new(text);
    let mut n = 0;
    while start < text.len()
        && let Some(room) = ends[n..].first_chunk_mut()
    {
        hints::prefetch(text.as_bytes(), start + AHEAD_BYTES);
        let mut padded = [PADDING; LANES];
        let bytes = block_at(text, start, &mut padded);
        let found = starts(&Block::new(L::load(bytes), reader, start)).certain();
        if found == 0 {
            start = end(rule, reader, start);
            room[0] = start;
            n += 1;
        } else {
            n += write_places::<L>(found, start, room);
            start += 63 - found.leading_zeros() as usize;
        }
    }
    n
}

/// How far ahead text is prefetched: between blocks so much other memory is read that the processor does not
/// prefetch the text by itself.
const AHEAD_BYTES: usize = 1024;

/// White space: whether it reaches the end of a block or of the text, the result that depends on that is left open.
const PADDING: u8 = b' ';

/// Return the 64 bytes of `text` from `start` on; if there are fewer, copy them to `padded`.
#[inline(always)]
fn block_at<'t>(text: &'t str, start: usize, padded: &'t mut [u8; LANES]) -> &'t [u8; LANES] {
    let rest = &text.as_bytes()[start..];
    rest.first_chunk().unwrap_or_else(|| {
        padded[..rest.len()].copy_from_slice(rest);
        padded
    })
}

/// Write `start` plus the index of each set bit of `bits`, in order; return the count.
#[inline(always)]
fn write_places<L: Lanes>(bits: u64, start: usize, out: &mut [usize; LANES]) -> usize {
    let (n, places) = (bits.count_ones() as usize, L::places(bits));
    for (done, (group, places)) in out.as_chunks_mut::<GROUP>().0.iter_mut().zip(places.as_chunks().0).enumerate() {
        if done * GROUP >= n {
            break;
        }
        let places: &[u8; GROUP] = places;
        for (place, offset) in group.iter_mut().zip(places) {
            *place = start + usize::from(*offset);
        }
    }
    n
}

/// The number of places that are always written, even if fewer are needed: most blocks have at most this many.
const GROUP: usize = 16;

/// Split character by character.
fn fill_singly(rule: Rule, text: &str, mut start: usize, ends: &mut [usize; BATCH]) -> usize {
    let reader = Reader::new(text);
    let mut n = 0;
    while n < BATCH && start < text.len() {
        start = end(rule, reader, start);
        ends[n] = start;
        n += 1;
    }
    n
}

#[inline]
fn end(rule: Rule, text: Reader, start: usize) -> usize {
    match rule {
        Rule::Gpt2 => gpt2::end(text, start),
        Rule::Cl100k(rules) => cl100k::end(rules, text, start),
        Rule::O200k => o200k::end(text, start),
    }
}
