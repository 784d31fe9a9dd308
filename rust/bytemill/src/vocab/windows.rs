//! Merges pieces of any length in linear time and little memory: window by window, then fixes the joints.
//!
//! A row of tokens is the encoding of a text if and only if every two neighbours are the encoding of
//! their own bytes. For the first merge that crosses the place between two neighbours would cross it
//! in the two alone as well, from the same state, and merges are never undone. So the ids of two
//! windows can be joined if the two tokens at the joint pass this test. If they fail, more tokens
//! before the joint are merged again. In long rows of one or a few characters a window repeats the
//! previous one and is not merged again.

use super::merge::{Merger, Scratch};
use super::tokens::Tokens;
use crate::interrupt::Pace;

/// Small enough for the L1 cache, large enough to make joints rare.
pub(super) const WINDOW_BYTES: usize = 2048;
/// The number of tokens before a joint to merge again at first: the end of their window came too early.
const AGAIN: usize = 8;

/// The merge engine and the tokens that it makes.
pub(super) struct Windows<'v> {
    pub(super) tokens: &'v Tokens,
    pub(super) engine: &'v Merger,
}

impl Windows<'_> {
    /// Append the ids of `bytes`, merging `window_bytes` at a time until no neighbours merge.
    pub(super) fn merge(&self, window_bytes: usize, bytes: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        let first = out.len();
        let (mut window, mut merged) = (Vec::new(), 0..0);
        let mut known_apart = None;
        let mut done = 0;
        let mut pace = Pace::default();
        while done < bytes.len() {
            let end = bytes.len().min(done + window_bytes);
            let (mut start, mut again) = (done, AGAIN);
            loop {
                start -= self.take_back(first, again, out);
                pace.advance(end - start);
                if bytes[start..end] != bytes[merged.clone()] {
                    window.clear();
                    self.engine.merge(&bytes[start..end], scratch, &mut window);
                }
                merged = start..end;
                let joint = out[first..].last().map(|&left| (left, window[0]));
                if joint == known_apart || joint.is_none_or(|joint| self.stay_apart(bytes, start, joint, scratch)) {
                    known_apart = joint;
                    break;
                }
                again *= 2;
            }
            out.extend_from_slice(&window);
            done = end;
        }
    }

    /// Remove the last `n` of the ids after `first`; return their number of bytes.
    fn take_back(&self, first: usize, n: usize, ids: &mut Vec<u32>) -> usize {
        let kept = first.max(ids.len().saturating_sub(n));
        ids.drain(kept..).map(|id| self.token_len(id)).sum()
    }

    fn token_len(&self, id: u32) -> usize {
        self.tokens.bytes(id).map_or(0, <[u8]>::len)
    }

    /// Return whether the tokens `left` and `right`, which meet at `at`, are the encoding of their joined bytes.
    fn stay_apart(&self, bytes: &[u8], at: usize, (left, right): (u32, u32), scratch: &mut Scratch) -> bool {
        let both = &bytes[at - self.token_len(left)..at + self.token_len(right)];
        let mut ids = Vec::new();
        self.engine.merge(both, scratch, &mut ids);
        ids == [left, right]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::vocab::Vocab;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn windows_give_what_the_whole_does(
            more in prop::collection::hash_set("[ab]{2,9}|[abc]{2,5}", 0..40),
            text in "[ab]{0,200}|[abc]{1,200}|(ab|aab|abb){0,80}|a{0,200}c?",
            window_bytes in 1_usize..40,
        ) {
            let singles = (0..=255).map(|byte| vec![byte]);
            let tokens: Vec<_> = singles.chain(more.into_iter().map(String::into_bytes)).zip(0..).collect();
            let vocab = Vocab::from_ranks(&tokens, vec![]).unwrap();
            let mut scratch = Scratch::default();
            let (mut whole, mut windows) = (vec![7], vec![7]);
            vocab.engine.merge(text.as_bytes(), &mut scratch, &mut whole);
            Windows { tokens: &vocab.tokens, engine: &vocab.engine }.merge(window_bytes, text.as_bytes(), &mut scratch, &mut windows);
            prop_assert_eq!(windows, whole);
        }
    }
}
